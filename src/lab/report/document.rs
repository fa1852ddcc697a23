//! A comparison as JSON and CSV.

use serde_json::{Value, json};

use crate::csv;
use crate::lab::measure::{Batch, Better, MEASURES, Unit};

use super::curves::{curves, swept};
use super::rows::Comparison;

/// Schema of the document; `assets/report/compare.schema.json` describes it.
pub const SCHEMA: &str = "concmon.lab.compare/1";

/// All as one object: what is measured, the rows, the curves, and the batch with every raw point, from which all can be made again.
#[must_use]
pub fn document(batch: &Batch, comparison: &Comparison) -> Value {
    let measures = MEASURES.iter().map(|m| {
        json!({
            "id": m.id,
            "title": m.title,
            "unit": match m.unit { Unit::Ns => "ns", Unit::Bytes => "bytes", Unit::Count => "count", Unit::PerSecond => "per second", Unit::Ratio => "ratio" },
            "better": match m.better { Better::Lower => "lower", Better::Higher => "higher" },
            "about": m.about,
        })
    });
    json!({
        "schema": SCHEMA,
        "complete": batch.complete(),
        "title": comparison.title,
        "finding": comparison.finding,
        "sorted_by": comparison.sorted_by,
        "measures": measures.collect::<Vec<_>>(),
        "rows": comparison.rows.iter().map(|row| {
            let mut value = serde_json::to_value(row).unwrap_or_default();
            value["advice"] = row.advice.iter().map(|a| {
                let mut one = serde_json::to_value(a).unwrap_or_default();
                one["text"] = a.to_string().into();
                one
            }).collect();
            value
        }).collect::<Vec<_>>(),
        "curves": swept(batch).into_iter().filter_map(|m| curves(batch, comparison, m)).collect::<Vec<_>>(),
        "batch": batch,
    })
}

/// One line per row: what ran, then for each measure its points, median and quartiles; unknown is empty.
#[must_use]
pub fn csv(comparison: &Comparison) -> String {
    let mut head =
        ["label", "system", "lang", "workers", "tasks", "task", "task_size", "parent_mb", "runs"].map(str::to_owned).to_vec();
    for m in MEASURES {
        head.extend(["count", "median", "q1", "q3"].map(|part| format!("{}_{part}", m.id)));
    }
    let mut records = vec![head];
    for row in &comparison.rows {
        let spec = &row.spec;
        let mut cells = vec![
            row.label.clone(),
            spec.system.clone(),
            row.lang.clone().unwrap_or_default(),
            spec.workers.to_string(),
            spec.tasks.to_string(),
            spec.task.name().to_owned(),
            spec.task.size().map_or(String::new(), |_| spec.size().to_string()),
            spec.parent_mb.to_string(),
            row.runs.to_string(),
        ];
        for figure in &row.figures {
            cells.extend(match &figure.spread {
                Some(s) => [s.count.to_string(), s.median.to_string(), s.q1.to_string(), s.q3.to_string()],
                None => Default::default(),
            });
        }
        records.push(cells);
    }
    csv::text(records)
}
