"""What makes a candidate worth its epochs, by name. To add one, write its file and name it in `registry`."""
