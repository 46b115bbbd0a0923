"""Writes MIMIC-III and its CareVue-only subset: the same rendered patients under MIMIC-III's ids, names and columns.

Source of the layout: mimic-code's create script and the MIMIC-III demo 1.4. Not here: who is in it
(`mimic_iii_people`), the hospital's tables (`mimic_iii_hospital`), notes (`mimic_iii_notes`), and what the two charting
systems wrote (`mimic_iii_metavision`, `mimic_iii_carevue`).
"""

from pathlib import Path

import polars as pl

from pipelines.synthetic import mimic_iii_carevue, mimic_iii_hospital, mimic_iii_metavision
from pipelines.synthetic.mimic_iii_notes import note_table
from pipelines.synthetic.mimic_iii_people import CAREVUE, METAVISION, Members
from pipelines.synthetic.mimic_iv_tree import MimicIV, render_mimic_iv
from pipelines.synthetic.settings import SyntheticSettings
from pipelines.synthetic.writing import DATETIME, write_csv_gz

COLUMNS = {
    "patients": "row_id,subject_id,gender,dob,dod,dod_hosp,dod_ssn,expire_flag",
    "admissions": "row_id,subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admission_location,"
    "discharge_location,insurance,language,religion,marital_status,ethnicity,edregtime,edouttime,diagnosis,"
    "hospital_expire_flag,has_chartevents_data",
    "icustays": "row_id,subject_id,hadm_id,icustay_id,dbsource,first_careunit,last_careunit,first_wardid,last_wardid,"
    "intime,outtime,los",
    "diagnoses_icd": "row_id,subject_id,hadm_id,seq_num,icd9_code",
    "d_icd_diagnoses": "row_id,icd9_code,short_title,long_title",
    "prescriptions": "row_id,subject_id,hadm_id,icustay_id,startdate,enddate,drug_type,drug,drug_name_poe,"
    "drug_name_generic,formulary_drug_cd,gsn,ndc,prod_strength,dose_val_rx,dose_unit_rx,form_val_disp,form_unit_disp,"
    "route",
    "noteevents": "row_id,subject_id,hadm_id,chartdate,charttime,storetime,category,description,cgid,iserror,text",
    "chartevents": "row_id,subject_id,hadm_id,icustay_id,itemid,charttime,storetime,cgid,value,valuenum,valueuom,"
    "warning,error,resultstatus,stopped",
    "labevents": "row_id,subject_id,hadm_id,itemid,charttime,value,valuenum,valueuom,flag",
    "inputevents_cv": "row_id,subject_id,hadm_id,icustay_id,charttime,itemid,amount,amountuom,rate,rateuom,storetime,"
    "cgid,orderid,linkorderid,stopped,newbottle,originalamount,originalamountuom,originalroute,originalrate,"
    "originalrateuom,originalsite",
    "inputevents_mv": "row_id,subject_id,hadm_id,icustay_id,starttime,endtime,itemid,amount,amountuom,rate,rateuom,"
    "storetime,cgid,orderid,linkorderid,ordercategoryname,secondaryordercategoryname,ordercomponenttypedescription,"
    "ordercategorydescription,patientweight,totalamount,totalamountuom,isopenbag,continueinnextdept,cancelreason,"
    "statusdescription,comments_editedby,comments_canceledby,comments_date,originalamount,originalrate",
    "outputevents": "row_id,subject_id,hadm_id,icustay_id,charttime,itemid,value,valueuom,storetime,cgid,stopped,"
    "newbottle,iserror",
    "procedureevents_mv": "row_id,subject_id,hadm_id,icustay_id,starttime,endtime,itemid,value,valueuom,location,"
    "locationcategory,storetime,cgid,orderid,linkorderid,ordercategoryname,secondaryordercategoryname,"
    "ordercategorydescription,isopenbag,continueinnextdept,cancelreason,statusdescription,comments_editedby,"
    "comments_canceledby,comments_date",
    "datetimeevents": "row_id,subject_id,hadm_id,icustay_id,itemid,charttime,storetime,cgid,value,valueuom,warning,"
    "error,resultstatus,stopped",
    "microbiologyevents": "row_id,subject_id,hadm_id,chartdate,charttime,spec_itemid,spec_type_desc,org_itemid,"
    "org_name,isolate_num,ab_itemid,ab_name,dilution_text,dilution_comparison,dilution_value,interpretation",
    "d_items": "row_id,itemid,label,abbreviation,dbsource,linksto,category,unitname,param_type,conceptid",
    "d_labitems": "row_id,itemid,label,fluid,category,loinc_code",
}
# Columns of MIMIC-IV's tables that are times but rendered as text.
TEXT_TIMES = {
    "admissions": ("admittime", "dischtime", "deathtime", "edregtime", "edouttime"),
    "prescriptions": ("starttime", "stoptime"),
    "microbiologyevents": ("chartdate", "charttime"),
}
Tables = dict[str, pl.DataFrame]


def mimic_iii_tables(members: Members, iv: MimicIV, summaries: pl.DataFrame, *, settings: SyntheticSettings) -> Tables:
    """Render MIMIC-III.

    Args:
        members: who is in it.
        iv: the rendered tables of MIMIC-IV, where the twins are.
        summaries: MIMIC-IV's discharge summaries.
        settings: the seed.

    Returns:
        Name of the table -> rows in the published columns, lower case.
    """
    own = render_mimic_iv(members.cohort, settings=settings)
    rendered = {name: pl.concat([own.hosp[name], iv.hosp[name]], how="vertical_relaxed") for name in own.hosp}
    rendered |= {name: pl.concat([own.icu[name], iv.icu[name]], how="vertical_relaxed") for name in own.icu}
    named = {name: _rename(name, rows, members) for name, rows in rendered.items() if "subject_id" in rows.columns}
    seed = settings.seed
    tables = mimic_iii_hospital.tables(named, members, seed=seed)
    tables["noteevents"] = note_table(members, summaries, seed=seed)
    systems = {
        CAREVUE: mimic_iii_carevue.tables(_of(named, CAREVUE), named["labevents"]),
        METAVISION: mimic_iii_metavision.tables(_of(named, METAVISION)),
    }
    for name in sorted({*systems[CAREVUE], *systems[METAVISION]}):
        parts = [rows[name] for rows in systems.values() if name in rows]
        tables[name] = pl.concat(parts, how="diagonal_relaxed")
    return {name: _numbered(name, rows) for name, rows in tables.items()}


def carevue_subset(tables: Tables, members: Members) -> Tables:
    """Return MIMIC-III's rows of the subjects of whom neither MetaVision nor MIMIC-IV knows anything."""
    clean = members.subjects.filter("is_clean")["subject_id"].implode()
    return {
        name: rows.filter(pl.col("subject_id").is_in(clean)) if "subject_id" in rows.columns else rows
        for name, rows in tables.items()
    }


def write_mimic_iii(root: Path, tables: Tables, *, layout: str) -> None:
    """Write the tables: NAME.csv.gz with upper-case columns ("full"), or NAME.csv with lower-case ones ("demo").

    The demo's open licence stands beside it, by name.
    """
    root.mkdir(parents=True, exist_ok=True)
    if layout == "demo":
        (root / "LICENSE.txt").write_text("ODC Open Database License (ODbL)\n")
    for name, rows in tables.items():
        if layout == "full":
            write_csv_gz(root / f"{name.upper()}.csv.gz", rows.rename(str.upper))
        else:
            rows.write_csv(root / f"{name.upper()}.csv", datetime_format=DATETIME)


def _rename(name: str, rows: pl.DataFrame, members: Members) -> pl.DataFrame:
    """Keep MIMIC-III's rows of a table, under its ids and dates.

    Rows of a stay get its dbsource and switch; an admission without a stay is not in MIMIC-III, and of what belongs to
    no admission only what a subject of MIMIC-III has stays.
    """
    texts = [pl.col(column).str.to_datetime(time_unit="ms") for column in TEXT_TIMES.get(name, ())]
    rows = rows.with_columns(texts).rename({"subject_id": "subject"})
    rows = rows.join(members.subjects.select("subject", "subject_id", "shift"), on="subject", maintain_order="left")
    if "hadm_id" in rows.columns:
        rows = rows.rename({"hadm_id": "hadm"})
        rows = rows.join(members.admissions, on="hadm", how="left", maintain_order="left")
        rows = rows.filter(pl.col("hadm").is_null() | pl.col("hadm_id").is_not_null())
    if "stay_id" in rows.columns:
        rows = rows.rename({"stay_id": "stay"}).join(members.stays, on="stay", maintain_order="left")
        rows = rows.with_columns(pl.col("switch") + pl.col("shift"))
    times = [column for column, dtype in rows.schema.items() if isinstance(dtype, pl.Datetime) and column != "switch"]
    return rows.with_columns(pl.col(times) + pl.col("shift"))


def _of(named: Tables, system: str) -> Tables:
    """What one system charted: stays of that source, and of both their own side of the switch."""
    kept = {}
    for name, rows in named.items():
        if "dbsource" in rows.columns and name != "icustays":
            time = next(column for column in ("charttime", "starttime") if column in rows.columns)
            earlier = pl.col(time) < pl.col("switch")
            here = (pl.col("dbsource") == "both") & (earlier if system == CAREVUE else ~earlier)
            kept[name] = rows.filter((pl.col("dbsource") == system) | here)
    kept["icustays"] = named["icustays"]
    return kept


def _numbered(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    keys = [key for key in ("subject_id", "hadm_id") if key in rows.columns]
    rows = rows.sort(keys, maintain_order=True) if keys else rows
    return rows.with_columns(row_id=pl.int_range(1, pl.len() + 1)).select(COLUMNS[name].split(","))
