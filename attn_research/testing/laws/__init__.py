"""The laws of a mixer, each a plain function `law(case)` that raises AssertionError.

Every law builds the case small, with every parameter moved off its initial value (a
table of zeros hides bugs), and all laws share a few compiled programs of equal shape.
"""

from attn_research.testing.laws.far import (
    law_far_causality,
    law_far_gradient,
    law_far_packing,
    law_far_reach,
    law_far_step,
    law_narrow,
)
from attn_research.testing.laws.forms import law_carry, law_edges, law_forms, law_step
from attn_research.testing.laws.numerics import law_finite, law_reference
from attn_research.testing.laws.outside import (
    law_bridge,
    law_cost,
    law_flops,
    law_functional,
)
from attn_research.testing.laws.plain import law_jit, law_rows, law_shape
from attn_research.testing.laws.segments import law_empty, law_packing, law_padding
from attn_research.testing.laws.sight import law_causality, law_reach

LAWS = {
    "shape": law_shape,
    "jit": law_jit,
    "rows": law_rows,
    "causality": law_causality,
    "reach": law_reach,
    "padding": law_padding,
    "empty": law_empty,
    "packing": law_packing,
    "step": law_step,
    "carry": law_carry,
    "forms": law_forms,
    "edges": law_edges,
    "reference": law_reference,
    "finite": law_finite,
    "cost": law_cost,
    "flops": law_flops,
    "functional": law_functional,
    "bridge": law_bridge,
    "far_step": law_far_step,
    "far_packing": law_far_packing,
    "far_causality": law_far_causality,
    "far_gradient": law_far_gradient,
    "far_reach": law_far_reach,
    "narrow": law_narrow,
}
