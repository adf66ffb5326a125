"""Systems over graphs of turns; their layers are those of torch-geometric."""
