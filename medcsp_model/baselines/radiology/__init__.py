"""The image-text models of the radiology evaluation, one module a family, all under `interface.RadiologyModel`.

`registry` names them and opens one from its folder. Nothing is imported here: a process loads what one model needs.
What lives here: loading published weights and embedding with them. What does not: measures (`medcsp_model.evaluation`).
"""
