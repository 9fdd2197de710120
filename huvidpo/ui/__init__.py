"""The page: one file per tab, and what the tabs share. Knows nothing of tensors."""
