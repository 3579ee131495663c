"""Search parameters compiled from the definitions, extracted at write time, matched at read time."""
