"""LPNet-RT: the network, how it runs, its input made on a device, and its weights out of ONNX files."""
