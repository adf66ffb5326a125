"""Frozen audio encoders: decoding, acoustic frames, openSMILE, speech networks, augmentation."""
