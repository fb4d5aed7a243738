"""Small languages in definitions, compiled at deploy and run per message: selection, JSONPath, parameter mapping."""
