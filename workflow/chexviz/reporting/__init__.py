"""From numbers to what readers see."""
