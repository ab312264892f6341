"""LPNet-RT: the network, its inference form, its input computed on a device, and its weights from ONNX files."""
