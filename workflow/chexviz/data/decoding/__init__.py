"""One radiograph's file to the grey levels that it is meant to be seen with."""
