"""The data sets that can be prepared from raw files, one line for each."""

from attn_research.tasks.data.classification import (
    MOVIE_REVIEWS,
    SENTENCE_POLARITY,
    SUBJECTIVITY,
)
from attn_research.tasks.data.coreference import GAP, WINOBIAS
from attn_research.tasks.data.images import CLOTHING32, MNIST_T10K, OMNIGLOT_SMALL
from attn_research.tasks.data.language import MOBY_DICK, TINYSHAKESPEARE, WIKITEXT2
from attn_research.tasks.data.listops import LISTOPS_D8, LISTOPS_D20S
from attn_research.tasks.data.questions import XQUAD
from attn_research.tasks.data.schema import DataSet
from attn_research.tasks.data.series import ETTH1, ETTH2
from attn_research.tasks.data.speech import FSDD
from attn_research.tasks.data.summarisation import QMSUM
from attn_research.tasks.data.translation import TICO19

DATA_SETS: dict[str, DataSet] = {
    "tinyshakespeare": TINYSHAKESPEARE,
    "wikitext2": WIKITEXT2,
    "moby_dick": MOBY_DICK,
    "movie_reviews": MOVIE_REVIEWS,
    "subjectivity": SUBJECTIVITY,
    "sentence_polarity": SENTENCE_POLARITY,
    "xquad": XQUAD,
    "tico19": TICO19,
    "qmsum": QMSUM,
    "gap": GAP,
    "winobias": WINOBIAS,
    "mnist_t10k": MNIST_T10K,
    "omniglot_small": OMNIGLOT_SMALL,
    "clothing32": CLOTHING32,
    "fsdd": FSDD,
    "etth1": ETTH1,
    "etth2": ETTH2,
    "listops_d20s": LISTOPS_D20S,
    "listops_d8": LISTOPS_D8,
}
