"""An encoder-decoder: it reads a source and writes a target."""

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.modules.contract import Carry, Cost, parameters
from attn_research.modules.head import Head, tied
from attn_research.modules.sizes import Sizes
from attn_research.modules.trunk import Trunk


class EncoderDecoder(nnx.Module):
    """A bidirectional trunk over the source, and a causal one that reads it.

    In every decoder layer attention to the encoded source follows the mixers, whatever
    they are: a recurrent decoder reads the source in the same way. Source and target
    share the token table if their vocabularies have the same size and the model is
    tied. Vaswani et al., 2017, arXiv:1706.03762; recurrent: Bahdanau et al., 2014,
    arXiv:1409.0473.
    """

    def __init__(self, model: Model, source: Sizes, target: Sizes, *, rngs: nnx.Rngs):
        self.encoder = Trunk(model, source._replace(causal=False), rngs=rngs)
        self.source_length = source.length
        self.decoder = Trunk(model, target._replace(causal=True), reads=True, rngs=rngs)
        tables = source.inputs == target.inputs == "tokens"
        self.shared = model.tied and tables and source.features == target.features
        if self.shared:
            self.encoder.frontend.table = self.decoder.frontend.table
        self.tied = tied(model, target)
        self.head = Head(model.width, target.outputs, tied=self.tied, rngs=rngs)

    def __call__(
        self,
        source: jax.Array,
        inputs: jax.Array,
        source_segments_BS: jax.Array | None = None,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs at every target position, BTV.

        `source` is tokens_BS or values_BSF, `inputs` the target so far, tokens_BT.
        `source_segments_BS` and `segments_BT` are 0 at padding and 1 elsewhere, None
        if there is none; `key` draws dropout, None applies none.
        """
        return self._out(
            self._read(source, inputs, source_segments_BS, segments_BT, key)
        )

    def at(
        self,
        source: jax.Array,
        inputs: jax.Array,
        index_BL: jax.Array,
        source_segments_BS: jax.Array | None = None,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs at the target positions `index_BL` only, BLV.

        `source`, `inputs`, `source_segments_BS`, `segments_BT` and `key` are those of
        a call.
        """
        x_BTD = self._read(source, inputs, source_segments_BS, segments_BT, key)
        return self._out(jnp.take_along_axis(x_BTD, index_BL[:, :, None], axis=1))

    def start(
        self,
        batch: int,
        length: int,
        source: jax.Array,
        source_segments_BS: jax.Array | None = None,
    ) -> Carry:
        """The decoding state of `batch` rows: the source encoded, as keys and values.

        At most `length` target tokens may follow. `source` is tokens_BS or values_BSF,
        `source_segments_BS` 0 at its padding, None if there is none.
        """
        context_BSD = self.encoder(source, source_segments_BS)
        segments_BS = self.encoder.positions(source_segments_BS)
        return self.decoder.start(batch, length, context_BSD, segments_BS)

    def step(self, inputs: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """Outputs BV after one more target token of each row, and the `carry` after it.

        `inputs` are token_B.
        """
        x_BD, carry = self.decoder.step(inputs, carry)
        return self._out(x_BD), carry

    def _read(self, source, inputs, source_segments_BS, segments_BT, key):
        one, two = (None, None) if key is None else jax.random.split(key)
        context_BSD = self.encoder(source, source_segments_BS, one)
        source_segments_BS = self.encoder.positions(source_segments_BS)
        return self.decoder(inputs, segments_BT, two, context_BSD, source_segments_BS)

    def _out(self, x: jax.Array) -> jax.Array:
        table = self.decoder.frontend.table.get_value() if self.tied else None
        return self.head(x, table)

    def cost(self, length: int) -> Cost:
        """The cost of a target of `length` tokens and a source of the built length.

        The state includes the keys and values of the source.
        """
        size = self.encoder.sizes.length
        source = self.encoder.cost(self.source_length)
        target = self.decoder.cost(length)
        reading = [block.cross.cost(length, size) for block in self.decoder.blocks()]
        head = 2 * self.decoder.model.width * self.decoder.sizes.outputs * length
        return Cost(
            params=parameters(self),
            flops=source.flops
            + target.flops
            + head
            + sum(cost.flops for cost in reading),
            state_bytes=target.state_bytes + sum(cost.state_bytes for cost in reading),
        )
