//! Every signal by name and number, in the order a picker shows them.

/// One signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal {
    number: i32,
    name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Name {
    Fixed(&'static str),
    /// So many above `SIGRTMIN`.
    AboveMin(i32),
    /// So many below `SIGRTMAX`.
    BelowMax(i32),
}

impl Signal {
    /// Its number on this machine.
    #[must_use]
    pub fn number(self) -> i32 {
        self.number
    }

    /// Its name with the `SIG` prefix: `SIGTERM`, `SIGRTMIN+3`.
    #[must_use]
    pub fn name(self) -> String {
        match self.name {
            Name::Fixed(name) => name.to_owned(),
            Name::AboveMin(0) => "SIGRTMIN".to_owned(),
            Name::AboveMin(above) => format!("SIGRTMIN+{above}"),
            Name::BelowMax(0) => "SIGRTMAX".to_owned(),
            Name::BelowMax(below) => format!("SIGRTMAX-{below}"),
        }
    }

    /// The signal with `number`, if it is one that may be sent.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        signals().into_iter().find(|signal| signal.number == number)
    }
}

/// All signals that may be sent: SIGTERM first, for it is what is wanted nearly always, then by number, then the real-time ones as
/// the C library numbers them (it keeps the first two of the kernel's for itself).
#[must_use]
pub fn signals() -> Vec<Signal> {
    let standard =
        nix::sys::signal::Signal::iterator().map(|signal| Signal { number: signal as i32, name: Name::Fixed(signal.as_str()) });
    let mut all: Vec<Signal> = standard.collect();
    all.sort_by_key(|signal| (signal.number != libc::SIGTERM, signal.number));
    let (min, max) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let middle = min + (max - min) / 2;
    all.extend((min..=max).map(|number| Signal {
        number,
        name: if number <= middle { Name::AboveMin(number - min) } else { Name::BelowMax(max - number) },
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_the_c_library_gives_out_is_there_once_and_sigterm_leads() {
        let all = signals();
        assert_eq!((all[0].number(), all[0].name()), (15, "SIGTERM".to_owned()));
        let mut numbers: Vec<i32> = all.iter().map(|signal| signal.number()).collect();
        numbers.sort_unstable();
        let wanted: Vec<i32> = (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect();
        assert_eq!(numbers, wanted);
    }

    #[test]
    fn real_time_names_count_from_the_nearer_end() {
        let name = |number| Signal::from_number(number).map(Signal::name).unwrap_or_default();
        assert_eq!(name(libc::SIGRTMIN()), "SIGRTMIN");
        assert_eq!(name(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
        assert_eq!(name(libc::SIGRTMAX() - 1), "SIGRTMAX-1");
        assert_eq!(Signal::from_number(32), None, "kept by the C library");
    }
}
