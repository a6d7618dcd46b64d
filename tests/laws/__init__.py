"""The laws of a mixer, each a plain function `law(case)` that raises AssertionError.

Every law builds the case small, with every parameter moved off its initial value (a
table of zeros hides bugs), and all laws share a few compiled programs of equal shape.
"""

from tests.laws.forms import law_carry, law_forms, law_step
from tests.laws.numerics import law_finite, law_reference
from tests.laws.outside import law_bridge, law_cost, law_functional
from tests.laws.plain import law_jit, law_rows, law_shape
from tests.laws.segments import law_empty, law_packing, law_padding
from tests.laws.sight import law_causality, law_reach

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
    "reference": law_reference,
    "finite": law_finite,
    "cost": law_cost,
    "functional": law_functional,
    "bridge": law_bridge,
}
