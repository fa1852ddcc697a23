//! The registry of the header's meters: their files, styles and values, read off a [`Model`].
//!
//! To add a meter: one entry in [`METERS`] and its function in `read`. The header, the set-up screen, the config file and docs/reference/meters.md derive from it.

mod read;

use crate::derive::Model;
use crate::snapshot::Needs;

/// How a meter is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Style {
    /// A bar of its parts, and a figure.
    Bar,
    /// All its figures.
    Text,
    /// Its last values, newest at the right.
    Graph,
}

impl Style {
    /// All.
    pub const ALL: [Self; 3] = [Self::Bar, Self::Text, Self::Graph];

    /// The word for it in the config file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bar => "bar",
            Self::Text => "text",
            Self::Graph => "graph",
        }
    }
}

/// What a part of a bar stands for, which colours follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tint {
    /// Work of one's own: user mode, memory in use.
    Own,
    /// What is cheap to take back: low priority, caches.
    Cheap,
    /// The kernel's work.
    Kernel,
    /// What is lost to others: stolen time, stalls.
    Lost,
}

/// A part of a bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// Of the whole bar, 0 to 1.
    pub share: f32,
    /// What it stands for.
    pub tint: Tint,
}

/// A bar with its figure.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bar {
    /// Its parts, from the left.
    pub parts: Vec<Part>,
    /// The figure at its end.
    pub figure: String,
}

/// What a meter reads.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// It is not known, and why, in a few words.
    Unknown(&'static str),
    /// What it is now.
    Known {
        /// As a bar.
        bar: Bar,
        /// All its figures. Names of devices in it are not yet fit for a terminal.
        text: String,
        /// What its graph plots; `None` if there is nothing to plot.
        level: Option<f32>,
    },
    /// Several alike: a name of at most four characters, its bar, and its level in percent, of each.
    Each(Vec<(String, Bar, Option<f32>)>),
}

/// One meter.
#[derive(Debug)]
pub struct Meter {
    /// Unique name, for config and set-up.
    pub id: &'static str,
    /// At most five characters, before the bar.
    pub title: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Unit of what its graph plots; `%` is drawn on a scale to 100, all else to the highest value shown.
    pub unit: &'static str,
    /// Which files, and where they are documented.
    pub source: &'static str,
    /// What must be read for it.
    pub needs: Needs,
    /// How it can be drawn; the first is what its bare name means.
    pub styles: &'static [Style],
    /// Reads it off a sample.
    pub read: fn(&Model) -> Reading,
}

const ALL: &[Style] = &Style::ALL;

/// Every meter, in the order of the set-up screen.
pub const METERS: &[Meter] = &[
    Meter {
        id: "cpu",
        title: "cpu",
        help: "All CPUs together: user, nice, kernel, interrupts, and time stolen by the hypervisor.",
        unit: "%",
        source: "/proc/stat (proc_stat(5))",
        needs: Needs::empty(),
        styles: ALL,
        read: read::cpu,
    },
    Meter {
        id: "cpus",
        title: "cpus",
        help: "Each CPU as a bar, or as one character if there are too many.",
        unit: "%",
        source: "/proc/stat (proc_stat(5))",
        needs: Needs::empty(),
        styles: ALL,
        read: read::cpus,
    },
    Meter {
        id: "memory",
        title: "mem",
        help: "Used memory (total minus available), then caches; shared memory counts as used.",
        unit: "%",
        source: "/proc/meminfo (proc_meminfo(5))",
        needs: Needs::empty(),
        styles: ALL,
        read: read::memory,
    },
    Meter {
        id: "swap",
        title: "swap",
        help: "Swap space in use.",
        unit: "%",
        source: "/proc/meminfo (proc_meminfo(5))",
        needs: Needs::empty(),
        styles: ALL,
        read: read::swap,
    },
    Meter {
        id: "load",
        title: "load",
        help: "Load average over 1, 5 and 15 minutes: tasks running, runnable or in uninterruptible sleep.",
        unit: "tasks",
        source: "/proc/loadavg (proc_loadavg(5))",
        needs: Needs::empty(),
        styles: &[Style::Text, Style::Bar, Style::Graph],
        read: read::load,
    },
    Meter {
        id: "tasks",
        title: "tasks",
        help: "Tasks (threads), processes, and tasks by state; by state of leaders where threads are not read.",
        unit: "tasks",
        source: "the table's own rows",
        needs: Needs::empty(),
        styles: &[Style::Text, Style::Graph],
        read: read::tasks,
    },
    Meter {
        id: "pressure",
        title: "psi",
        help: "Pressure: share of the last 10 s with tasks waiting for CPU, storage, memory; the graph shows the largest.",
        unit: "%",
        source: "/proc/pressure/* (Documentation/accounting/psi.rst)",
        needs: Needs::empty(),
        styles: &[Style::Text, Style::Bar, Style::Graph],
        read: read::pressure,
    },
    Meter {
        id: "disks",
        title: "disk",
        help: "Reads and writes of whole disks, and the load of the busiest; partitions are not counted again.",
        unit: "B/s",
        source: "/proc/diskstats (Documentation/admin-guide/iostats.rst)",
        needs: Needs::DISKS,
        styles: &[Style::Text, Style::Bar, Style::Graph],
        read: read::disks,
    },
    Meter {
        id: "network",
        title: "net",
        help: "Traffic of all interfaces except loopback, and the busiest; the bar is logarithmic, 1 kB/s to 10 GB/s.",
        unit: "B/s",
        source: "/proc/net/dev (proc_pid_net(5))",
        needs: Needs::NETWORKS,
        styles: &[Style::Text, Style::Bar, Style::Graph],
        read: read::network,
    },
    Meter {
        id: "temperature",
        title: "temp",
        help: "The hottest sensor, read every 5 s.",
        unit: "C",
        source: "/sys/class/hwmon (Documentation/hwmon/sysfs-interface.rst)",
        needs: Needs::TEMPERATURES,
        styles: &[Style::Text, Style::Bar, Style::Graph],
        read: read::temperature,
    },
];

/// The meter with this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Meter> {
    METERS.iter().find(|m| m.id == id)
}

/// A meter in one of its styles.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Which.
    pub meter: &'static Meter,
    /// How.
    pub style: Style,
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.meter.id == other.meter.id && self.style == other.style
    }
}

impl Shown {
    /// Reads `memory`, or `memory:graph`.
    ///
    /// # Errors
    /// One sentence on what is wrong with it.
    pub fn parse(word: &str) -> Result<Self, String> {
        let (id, style) = word.split_once(':').map_or((word, None), |(id, style)| (id, Some(style)));
        let meter = find(id).ok_or_else(|| {
            let ids: Vec<&str> = METERS.iter().map(|m| m.id).collect();
            format!("there is no meter \"{id}\"; the meters are {}", ids.join(", "))
        })?;
        let Some(word) = style else { return Ok(Self { meter, style: meter.styles[0] }) };
        let style = meter.styles.iter().find(|s| s.name() == word).copied().ok_or_else(|| {
            let styles: Vec<&str> = meter.styles.iter().map(|s| s.name()).collect();
            format!("the meter \"{id}\" has no style \"{word}\"; its styles are {}", styles.join(", "))
        })?;
        Ok(Self { meter, style })
    }

    /// As in the config file.
    #[must_use]
    pub fn word(self) -> String {
        format!("{}:{}", self.meter.id, self.style.name())
    }
}

/// Which meters are shown where: on the left and on the right, from the top; those below that do not fit are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Meters {
    /// On the left.
    pub left: Vec<Shown>,
    /// On the right.
    pub right: Vec<Shown>,
}

/// What is shown unless the user wants otherwise. The first lines of both sides are what a small terminal shows.
pub const DEFAULT: [&[&str]; 2] = [
    &["cpu:bar", "cpus:bar", "load:text", "disks:text", "cpu:graph", "pressure:graph", "disks:graph"],
    &["memory:bar", "tasks:text", "swap:bar", "network:text", "memory:graph", "network:graph", "temperature:text"],
];

impl Default for Meters {
    fn default() -> Self {
        let side = |words: &[&str]| words.iter().filter_map(|w| Shown::parse(w).ok()).collect();
        Self { left: side(DEFAULT[0]), right: side(DEFAULT[1]) }
    }
}

impl Meters {
    /// All that are shown.
    pub fn all(&self) -> impl Iterator<Item = &Shown> {
        self.left.iter().chain(&self.right)
    }

    /// What must be read for them.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.all().fold(Needs::empty(), |needs, shown| needs | shown.meter.needs)
    }
}

#[cfg(test)]
mod tests;
