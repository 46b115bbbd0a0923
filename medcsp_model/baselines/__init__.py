"""Methods that the model is compared with, re-implemented from their papers; none of their code is here."""
