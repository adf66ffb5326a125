"""Tiny speech networks with random weights, saved as plain transformers folders."""

from pathlib import Path

import torch

WAVEFORM = {
    "wav2vec2-group": ("Wav2Vec2", {"feat_extract_norm": "group"}),
    "wav2vec2-layer": ("Wav2Vec2", {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}),
    "hubert-group": ("Hubert", {"feat_extract_norm": "group"}),
    "hubert-layer": ("Hubert", {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}),
    "hubert-batch": ("Hubert", {"feat_extract_norm": "layer", "conv_pos_batch_norm": True}),
    "wavlm-group": ("WavLM", {"feat_extract_norm": "group"}),
    "wavlm-layer": ("WavLM", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "data2vec": ("Data2VecAudio", {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5}),
    "unispeech": ("UniSpeech", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "unispeech-sat": ("UniSpeechSat", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "conformer": ("Wav2Vec2Conformer", {"feat_extract_norm": "layer", "conv_depthwise_kernel_size": 5}),
}
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
    "num_buckets": 16,
}


def save_tiny(kind: str, folder: Path) -> Path:
    """A model of 3 layers and 16 dimensions with its feature extractor; ``whisper`` has a window of one second."""
    import transformers

    torch.manual_seed(0)
    if kind == "whisper":
        config = transformers.WhisperConfig(
            vocab_size=20, d_model=16, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2, num_mel_bins=8,
            decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, max_source_positions=50,
            max_target_positions=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        )  # fmt: skip
        model = transformers.WhisperModel(config)
        transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1).save_pretrained(folder)
    else:
        family, options = WAVEFORM[kind]
        config = getattr(transformers, f"{family}Config")(**{**SIZES, **options})
        model = getattr(transformers, f"{family}Model")(config)
        is_masked = options.get("feat_extract_norm", "layer") == "layer"
        transformers.Wav2Vec2FeatureExtractor(return_attention_mask=is_masked).save_pretrained(folder)
    with torch.no_grad():  # biases start at 0, which would hide what leaks out of padding
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder
