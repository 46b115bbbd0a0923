"""The methods of the EHR evaluation, one module each, all under the interface of `medcsp_model.evaluation.prediction`.

`registry` names them all. Nothing is imported here: a process that trains one method loads what that one needs.
"""
