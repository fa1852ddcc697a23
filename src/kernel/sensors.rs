//! Temperatures of `/sys/class/hwmon` (Documentation/hwmon/sysfs-interface.rst), or where it has none, of `/sys/class/thermal`
//! (Documentation/driver-api/thermal/sysfs-api.rst).

use std::path::{Path, PathBuf};

use crate::snapshot::Temperature;

/// What a sensor of a computer can show, degrees Celsius. Inputs with nothing connected show the ends of their scale: -128, 127, 255.
const PLAUSIBLE: std::ops::RangeInclusive<f32> = -60.0..=125.0;

/// All that are there now and work, in the order of their directories.
#[must_use]
pub fn temperatures(sys: &Path) -> Vec<Temperature> {
    let mut found = Vec::new();
    for chip in entries(&sys.join("class/hwmon"), "hwmon") {
        // Drivers of old kernels put the files one level below.
        for dir in [chip.clone(), chip.join("device")] {
            let before = found.len();
            let name = text(&chip.join("name")).or_else(|| text(&dir.join("name"))).unwrap_or_default();
            found.extend(inputs(&dir).into_iter().filter_map(|input| hwmon(&dir, &name, &input)));
            if found.len() > before {
                break;
            }
        }
    }
    if found.is_empty() {
        let zones = entries(&sys.join("class/thermal"), "thermal_zone");
        found.extend(zones.iter().filter(|zone| text(&zone.join("mode")).as_deref() != Some("disabled")).filter_map(|zone| {
            Some(Temperature { label: text(&zone.join("type")).unwrap_or_default(), celsius: celsius(&zone.join("temp"))? })
        }));
    }
    found
}

/// One input, `temp1` of a chip; `None` if it is faulty, disabled, or shows what no sensor can.
fn hwmon(dir: &Path, chip: &str, input: &str) -> Option<Temperature> {
    let file = |leaf: &str| dir.join(format!("{input}_{leaf}"));
    let flag = |leaf: &str| text(&file(leaf));
    if flag("fault").is_some_and(|fault| fault != "0") || flag("enable").as_deref() == Some("0") {
        return None;
    }
    let celsius = celsius(&file("input"))?;
    let label = flag("label").unwrap_or_else(|| input.to_owned());
    Some(Temperature { label: format!("{chip} {label}").trim().to_owned(), celsius })
}

/// The names of a chip's inputs, `temp1` first.
fn inputs(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_input = |name: &String| name.strip_prefix("temp").and_then(|rest| rest.strip_suffix("_input")).is_some_and(is_number);
    let mut found: Vec<String> = names.filter(is_input).map(|name| name.trim_end_matches("_input").to_owned()).collect();
    found.sort_by_key(|name| (name.len(), name.clone()));
    found
}

/// The directories `prefixN`, by their numbers.
fn entries(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> = all.filter(|name| name.strip_prefix(prefix).is_some_and(is_number)).collect();
    found.sort_by_key(|name| (name.len(), name.clone()));
    found.into_iter().map(|name| dir.join(name)).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file of millidegrees.
fn celsius(path: &Path) -> Option<f32> {
    let millidegrees: i64 = text(path)?.parse().ok()?;
    let celsius = millidegrees as f32 / 1000.0;
    PLAUSIBLE.contains(&celsius).then_some(celsius)
}

/// A small file's content; bytes that are no UTF-8 are replaced.
fn text(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(bytes.trim_ascii()).into_owned())
}
