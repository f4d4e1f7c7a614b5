"""From raw files to arrays and tables: fetched, checked, decoded, resized."""
