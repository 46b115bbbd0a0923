"""COVID-19 Radiography Database: its images by class."""

import dataframely as dy

from data_contracts import fields
from data_contracts.base import Contract

COVID19_CLASSES = ["COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"]


class Covid19Images(Contract):
    """One image of the COVID-19 Radiography Database."""

    table = "covid19__images"
    layer = "tables"
    key = ("image_id",)

    image_id = fields.text("Name of the file without ending, for instance COVID-1.", nullable=False)
    label = dy.Enum(COVID19_CLASSES, description="Class: the folder that holds the image.")
    path = fields.text("File below the root.", nullable=False)
    mask_path = fields.text("Lung mask below the root; releases before 5 have none.")
    url = fields.text("Where the image comes from, by the class's metadata sheet; sources and classes coincide.")
