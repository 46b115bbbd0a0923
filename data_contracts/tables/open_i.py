"""Open-I (Indiana University chest X-rays): reports by section, and their images."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract


class OpenIReports(Contract):
    """One report of Open-I, by section."""

    table = "open_i__reports"
    layer = "tables"
    key = ("uid",)

    uid = dy.Int64(min=1, description="Report: the number in uId CXR1 and in the name of its file.")
    comparison = fields.text("Section COMPARISON; XXXX stands for what was removed.")
    indication = fields.text("Section INDICATION.")
    findings = fields.text("Section FINDINGS.")
    impression = fields.text("Section IMPRESSION.")
    mesh = fields.text("MeSH terms given by hand, separated by semicolons, qualifiers after slashes.")
    problems = fields.text("Headings of the MeSH terms, without qualifiers, each once.")
    automatic = fields.text("MeSH terms found by a program, separated by semicolons; the XML form alone has them.")
    image = fields.text("Caption of the images, for instance Xray Chest PA and Lateral.")


class OpenIImages(Contract):
    """One image that a report of Open-I names."""

    table = "open_i__images"
    layer = "tables"
    key = ("image_id",)

    image_id = fields.text("Name of the image without ending, for instance CXR1_1_IM-0001-3001.", nullable=False)
    uid = dy.Int64(min=1, description="Report of the image.")
    projection = dy.Enum(["Frontal", "Lateral"], nullable=True, description="View; the Kaggle form alone has it.")
    path = fields.text("File below the root; null where it is not there.")
