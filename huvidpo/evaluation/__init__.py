"""How good clips are: measures of clips, and of what people say about them."""
