"""Labels of other tools, read and written as data sets of this project; a module per format."""
