"""MIMIC-III's CareVue subset 1.4 (PhysioNet `mimic3-carevue`): patients that MIMIC-IV does not hold, same columns."""

from data_contracts.tables import mimic_iii


class MimicIiiCarevuePatients(mimic_iii.MimicIiiPatients):
    """One patient, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__patients"


class MimicIiiCarevueAdmissions(mimic_iii.MimicIiiAdmissions):
    """One hospital admission, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__admissions"


class MimicIiiCarevueIcustays(mimic_iii.MimicIiiIcustays):
    """One ICU stay, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__icustays"


class MimicIiiCarevueDiagnosesIcd(mimic_iii.MimicIiiDiagnosesIcd):
    """One billed diagnosis code of an admission, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__diagnoses_icd"


class MimicIiiCarevueDIcdDiagnoses(mimic_iii.MimicIiiDIcdDiagnoses):
    """One diagnosis code and its titles, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__d_icd_diagnoses"


class MimicIiiCarevuePrescriptions(mimic_iii.MimicIiiPrescriptions):
    """One prescribed drug order, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__prescriptions"


class MimicIiiCarevueNoteevents(mimic_iii.MimicIiiNoteevents):
    """One note, of any category, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__noteevents"


class MimicIiiCarevueChartevents(mimic_iii.MimicIiiChartevents):
    """One charted reading, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__chartevents"


class MimicIiiCarevueLabevents(mimic_iii.MimicIiiLabevents):
    """One laboratory result, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__labevents"


class MimicIiiCarevueInputeventsCv(mimic_iii.MimicIiiInputeventsCv):
    """One CareVue input: an amount given, or a rate set, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__inputevents_cv"


class MimicIiiCarevueInputeventsMv(mimic_iii.MimicIiiInputeventsMv):
    """One piece of a MetaVision infusion or one given dose, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__inputevents_mv"


class MimicIiiCarevueOutputevents(mimic_iii.MimicIiiOutputevents):
    """One output, such as urine, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__outputevents"


class MimicIiiCarevueProcedureeventsMv(mimic_iii.MimicIiiProcedureeventsMv):
    """One MetaVision procedure, such as ventilation, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__procedureevents_mv"


class MimicIiiCarevueDatetimeevents(mimic_iii.MimicIiiDatetimeevents):
    """One charted date, such as that of a line, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__datetimeevents"


class MimicIiiCarevueMicrobiologyevents(mimic_iii.MimicIiiMicrobiologyevents):
    """One microbiology result, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__microbiologyevents"


class MimicIiiCarevueDItems(mimic_iii.MimicIiiDItems):
    """One charted concept of the ICU, of either system, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__d_items"


class MimicIiiCarevueDLabitems(mimic_iii.MimicIiiDLabitems):
    """One laboratory concept, in MIMIC-III's CareVue subset."""

    table = "mimic_iii_carevue__d_labitems"
