"""Features of utterances: frozen encoders, files with features, transforms, and the store on disk."""
