//! OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>): a family per numeric column, a series per row, base units
//! (seconds, bytes, ratios of 1). An unknown value has no sample.

use std::io::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::columns::{COLUMNS, Column, Metric, Row, RowRef, Value};
use crate::text::{Charset, sanitize};

use super::Table;

/// Writes the table.
///
/// # Errors
/// The writer's.
pub fn write_openmetrics(out: &mut dyn Write, table: &Table<'_>) -> io::Result<()> {
    let rows: Vec<Labelled<'_>> = table.rows().map(|(line, row)| Labelled { labels: labels(line.row, &row), row }).collect();
    let numeric = table.columns.iter().filter(|column| matches!(column.metric, Metric::Gauge | Metric::Counter));
    out.write_all(encoded(numeric.map(|column| Family::new(column, &rows)).collect())?.as_bytes())
}

/// The families that have samples, as text.
pub(super) fn encoded(mut families: Vec<Family>) -> io::Result<String> {
    families.retain(|family| !family.samples.is_empty());
    let mut registry = Registry::with_prefix("concmon");
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    text::encode(&mut text, &registry).map_err(io::Error::other)?;
    Ok(text)
}

pub(super) type Labels = Vec<(&'static str, String)>;

struct Labelled<'a> {
    labels: Labels,
    row: Row<'a>,
}

/// What a series is of. A process and its first thread have the same numbers, so it says which of them it is.
fn labels(of: RowRef, row: &Row<'_>) -> Labels {
    let scope = if matches!(of, RowRef::Task { .. }) { "thread" } else { "process" };
    // A collector says itself which machine a file is of; only series of several hosts have to.
    let of_hosts = row.model.home(row.process.key.pid).1.is_some();
    let labels = COLUMNS.iter().filter(|column| column.metric == Metric::Label && (of_hosts || column.id != "host"));
    let named = labels.filter_map(|column| {
        let text = match (column.get)(row) {
            Value::Int(n) => n.to_string(),
            Value::Word(word) => word.to_owned(),
            Value::Text(bytes) => sanitize(&bytes, Charset::Unicode).into_owned(),
            _ => return None,
        };
        Some((column.id, text))
    });
    std::iter::once(("scope", scope.to_owned())).chain(named).collect()
}

/// A number in base units; words have none, and a value of two numbers is in columns of its own as well.
fn number(value: &Value<'_>) -> Option<f64> {
    const NS_PER_S: f64 = 1e9;
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::Count(n) | Value::Bytes(n) => Some(*n as f64),
        Value::Duration(ns) => Some(*ns as f64 / NS_PER_S),
        Value::BytesPerSecond(x) | Value::Rate(x) => Some(f64::from(*x)),
        Value::Percent(x) => Some(f64::from(*x) / 100.0),
        Value::Unknown(_)
        | Value::RunWait { .. }
        | Value::HeldWanted { .. }
        | Value::Recent(_)
        | Value::State(_)
        | Value::Word(_)
        | Value::Text(_) => None,
    }
}

#[derive(Debug)]
pub(super) struct Family {
    pub name: String,
    pub help: String,
    pub unit: Option<Unit>,
    pub counter: bool,
    pub samples: Vec<(Labels, f64)>,
}

impl Family {
    fn new(column: &'static Column, rows: &[Labelled<'_>]) -> Self {
        let samples = rows.iter().filter_map(|of| Some((of.labels.clone(), number(&(column.get)(&of.row))?)));
        Self {
            // The format adds the ending of a counter itself.
            name: column.id.trim_end_matches("_total").to_owned(),
            help: help(column),
            unit: unit(column.unit),
            counter: column.metric == Metric::Counter,
            samples: samples.collect(),
        }
    }
}

/// The column's description; the format adds a full stop.
fn help(column: &Column) -> String {
    let description = column.description.trim_end_matches('.');
    match column.unit {
        "percent" => format!("{description}; as a ratio, 1 is 100 %"),
        _ => description.to_owned(),
    }
}

fn unit(of_column: &str) -> Option<Unit> {
    let other = |name: &str| Some(Unit::Other(name.to_owned()));
    match of_column {
        "" => None,
        "bytes" => Some(Unit::Bytes),
        "ns" => Some(Unit::Seconds),
        "percent" => other("ratio"),
        "per_s" => other("per_second"),
        "bytes_per_s" => other("bytes_per_second"),
        unknown => other(unknown),
    }
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Family { name, help, unit, counter, samples } in &self.0 {
            let kind = if *counter { ConstCounter::new(0.0).metric_type() } else { ConstGauge::new(0.0).metric_type() };
            let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            for (labels, value) in samples {
                let sample = metric.encode_family(labels)?;
                if *counter { ConstCounter::new(*value).encode(sample)? } else { ConstGauge::new(*value).encode(sample)? }
            }
        }
        Ok(())
    }
}
