use super::*;
use crate::meters::Shown;

fn from(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    config.apply_file(Path::new("config.toml"), text).map_err(|e| e.to_string())?;
    Ok(config)
}

fn with_args(line: &str) -> Result<Config, String> {
    let low = LowArgs::parse_from_args(line.split(' ')).unwrap();
    Config::default().resolve(&low).map_err(|e| e.to_string())
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(from("").unwrap(), Config::default());
}

#[test]
fn mistakes_are_named_with_place_and_cure() {
    for (text, want) in [
        ("delay = 0", "config.toml:1:9: delay: 0 is not between 0.1 and 60 seconds"),
        ("delay = nan", "config.toml:1:9: delay: NaN is not between 0.1 and 60 seconds"),
        ("delay = \"1\"", "config.toml:1:9: delay: this must be a number of seconds, not a string"),
        ("tree = 1", "config.toml:1:8: tree: this must be true or false, not an integer"),
        ("[lab]\nmax_workers = 0", "config.toml:2:15: lab.max_workers: 0 is not between 1 and 100000"),
        ("sort = \"cpuu\"", "config.toml:1:8: sort: there is no column \"cpuu\": did you mean \"cpu\"?"),
        ("sort = \"cpu:down\"", "config.toml:1:8: sort: \"down\" is not a direction: write cpu:asc or cpu:desc"),
        ("columns = [\"pid\", \"pid\"]", "config.toml:1:11: columns: the column \"pid\" is named twice"),
        ("meters_left = [\"cpu\", \"cpu:bar\"]", "config.toml:1:15: meters_left: the meter \"cpu:bar\" is named twice"),
        ("columns = []", "config.toml:1:11: columns: the list needs at least one column"),
        ("user = \"no such user\"", "config.toml:1:8: user: there is no user \"no such user\" on this machine"),
    ] {
        assert_eq!(from(text).unwrap_err(), want, "of {text:?}");
    }
}

#[test]
fn a_key_that_this_version_does_not_know_is_a_warning() {
    for (text, want) in [
        ("\n\ndealy = 2", "config.toml:3:1: unknown key \"dealy\": did you mean \"delay\"?"),
        ("max_workers = 1", "config.toml:1:1: unknown key \"max_workers\": \"max_workers\" belongs under [lab]"),
        ("[lab]\ntree = true", "config.toml:2:1: unknown key \"lab.tree\": \"tree\" belongs before the first [table]"),
        ("lab.max_worker = 9", "config.toml:1:5: unknown key \"lab.max_worker\": did you mean \"lab.max_workers\"?"),
        ("lab = 3", "config.toml:1:1: unknown key \"lab\" (config.example.toml lists those of this version)"),
        ("[future]\nx = 1\ny = [1]", "config.toml:1:2: unknown key \"future\" (config.example.toml lists those of this version)"),
    ] {
        assert_eq!(from(text).unwrap().warnings, [want], "of {text:?}");
    }
    let config = from("zzz = 1\ndelay = 2\n[lab]\nmax_workers = 7\nqqq = 2\n").unwrap();
    assert_eq!((config.delay, config.lab.max_workers), (Duration::from_secs(2), 7), "the rest holds");
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let error = from("tree = true\ndelay = = 2\n").unwrap_err();
    assert!(error.starts_with("config.toml:2:9: "), "{error}");
    assert!(!error.contains('\n'), "one line: {error}");
}

#[test]
fn the_first_mistake_in_the_file_is_the_one_named() {
    assert!(from("[lab]\nmax_workers = 0\n").unwrap_err().starts_with("config.toml:2:15"));
    assert!(from("tree = 1\ndelay = 0\n").unwrap_err().starts_with("config.toml:1:8"));
}

#[test]
fn every_key_sets_something_and_its_example_is_valid() {
    for key in KEYS {
        let section = if key.section.is_empty() { String::new() } else { format!("[{}]\n", key.section) };
        from(&format!("{section}{} = {}\n", key.name, key.example)).unwrap();
    }
    let config = from(
        "delay = 2\nsource = \"proc\"\ncolumns = [\"pid\"]\nmeters_left = [\"swap:text\"]\nmeters_right = []\nsort = \"rss:asc\"\ntree = true\nthreads = true\nkernel_threads = true\nshow_path = false\n\
         filter = \"x\"\nfilters = { a = \"pid=1\" }\nuser = \"0\"\nreadonly = true\ncolor = false\ncolor_depth = \"16\"\nunicode = false\ntheme = \"t\"\nmouse = false\ngo_first = false\nkeys = \"vim\"\nclipboard = false\nghost_seconds = 0\nlast_minutes = 0\nfind_deadlocks = false\n\
         [lab]\nmax_workers = 1\nmax_parent_mb = 2\ntimeout_secs = 3\nhold_ms = 4\npython = [\"/p\"]\n",
    )
    .unwrap();
    let want = Config {
        delay: Duration::from_secs(2),
        pids: Vec::new(),
        user: Some(UserFilter { name: "0".to_owned(), uid: 0 }),
        filter: Some("x".to_owned()),
        saved_filters: SavedFilters::new([("a".to_owned(), "pid=1".to_owned())]).unwrap(),
        tree: true,
        threads: true,
        kernel_threads: true,
        show_path: false,
        sort: Sort { column: columns::find("rss").unwrap(), descending: false },
        columns: vec![columns::find("pid").unwrap()],
        meters: Meters { left: vec![Shown::parse("swap:text").unwrap()], right: Vec::new() },
        source: SourceChoice::Proc,
        record: None,
        replay: None,
        hosts: Vec::new(),
        readonly: true,
        color: false,
        color_depth: ColorDepth::Sixteen,
        unicode: false,
        theme: "t".to_owned(),
        mouse: false,
        go_first: false,
        keys: Preset::Vim,
        clipboard: false,
        ghost: Duration::ZERO,
        last_minutes: 0,
        find_deadlocks: false,
        lab: LabLimits {
            max_workers: 1,
            max_parent_mb: Some(2),
            timeout: Duration::from_secs(3),
            hold: Duration::from_millis(4),
            pythons: vec!["/p".into()],
            systems: Vec::new(),
        },
        save_path: None,
        warnings: Vec::new(),
        path: None,
    };
    assert_eq!(config, want);
}

#[test]
fn a_saved_filter_that_is_wrong_is_named_with_its_mistake() {
    let error = from("[filters]\nok = \"pid=1\"\nbad = \"cpuu>1\"\n").unwrap_err();
    assert!(error.contains("filters: bad: there is no column \"cpuu\"; did you mean cpu"), "{error}");
    assert!(from("[filters]\na = \"@a\"\n").unwrap_err().contains("refers to itself"));
    assert!(from("[filters]\na = 5\n").unwrap_err().contains("a: this must be a word in quotes"));
}

#[test]
fn arguments_win_over_the_file() {
    let low = LowArgs::parse_from_args(["concmon", "-d", "0.5", "-s", "pid", "--source", "bpf"]).unwrap();
    let config = from("delay = 2\nsort = \"rss\"\nsource = \"proc\"").unwrap().resolve(&low).unwrap();
    assert_eq!(config.delay, Duration::from_millis(500));
    assert_eq!((config.sort.column.id, config.sort.descending), ("pid", false));
    assert_eq!(config.source, SourceChoice::Bpf);
}

#[test]
fn wrong_arguments_are_named_by_their_flag() {
    for (line, want) in [
        ("concmon -d 0", "--delay: 0 is not between 0.1 and 60 seconds"),
        ("concmon -s comand", "--sort: there is no column \"comand\": did you mean \"command\"?"),
        ("concmon ps --columns pid,rs", "--columns: there is no column \"rs\": did you mean \"rss\"?"),
        ("concmon -u nobodyhere", "--user: there is no user \"nobodyhere\" on this machine"),
    ] {
        assert_eq!(with_args(line).unwrap_err(), want);
    }
}

#[test]
fn lab_limits_refuse_with_the_figures() {
    let check = |line: &str| match LowArgs::parse_from_args(line.split(' ')).unwrap().command {
        Some(Command::Lab { command: crate::cli::LabCommand::Run(run) }) => {
            Config::default().lab.check(&run).map_err(|e| e.to_string())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(check("concmon lab run native/fork --workers 1,256"), Ok(()));
    let zero = check("concmon lab run native/fork --workers 0").unwrap_err();
    assert_eq!(zero, "--workers: a run needs at least 1 worker (and at most 256)");
    let many = check("concmon lab run native/fork --workers 1000000000").unwrap_err();
    assert!(many.contains("1000000000 workers exceed the limit of 256"), "{many}");
}

#[test]
fn the_environment_turns_colour_and_unicode_off() {
    let low = LowArgs::parse_from_args(["concmon"]).unwrap();
    let environment = Environment { no_color: true, utf8: Some(false), ..Environment::default() };
    let config = Config::load(&low, &environment).unwrap();
    assert!(!config.color && !config.unicode);
}

#[test]
fn a_named_file_must_exist_and_the_usual_one_need_not() {
    let home = tempfile::tempdir().unwrap();
    let environment = Environment { config_home: Some(home.path().to_owned()), ..Environment::default() };
    let low = LowArgs::parse_from_args(["concmon"]).unwrap();
    assert_eq!(Config::load(&low, &environment).unwrap().path, None);

    std::fs::create_dir(home.path().join("concmon")).unwrap();
    std::fs::write(home.path().join("concmon/config.toml"), "tree = true").unwrap();
    assert!(Config::load(&low, &environment).unwrap().tree);

    for bad in ["/nonexistent/concmon.toml", "/dev/zero", "/"] {
        let low = LowArgs::parse_from_args(["concmon", "--config", bad]).unwrap();
        let error = Config::load(&low, &environment).unwrap_err().to_string();
        assert!(error.contains(bad), "{error}");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_named_with_its_line() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("c.toml");
    std::fs::write(&path, b"tree = true\ntheme = \"\xff\"").unwrap();
    let low = LowArgs::parse_from_args([std::ffi::OsStr::new("concmon"), "--config".as_ref(), path.as_os_str()]).unwrap();
    let error = Config::load(&low, &Environment::default()).unwrap_err().to_string();
    assert!(error.ends_with("c.toml:2:10: invalid UTF-8 from here on"), "{error}");
}
