"""What every runtime's ports must do, as checks any runtime can be put through; pytest only drives them."""
