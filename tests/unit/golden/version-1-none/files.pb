
regular M*/tmp/a ÿ file