//! Joins the edges: sampler, terminal input, signals and the lab arrive as messages; effects are carried out.

mod away;
mod comparing;
mod family;
mod feed;
mod for_open;
mod inspector;
mod known;
mod last_resort;
mod options;
mod past;
mod player;
mod profiles;
mod pythons;
mod questions;
mod sampler;
mod signals;
mod survey;
mod targets;

use std::io::{Write as _, stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::app::App;
use crate::app::compare::Progressed;
use crate::app::detail::DetailPane;
use crate::app::layer::Layer;
use crate::app::msg::{Effect, Msg, Notice};
use crate::app::options::Screen;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{ColorDepth, Config};
use crate::kernel::allot;
use crate::kernel::{Heirs, PidSpace, let_go_of_loading, raise_descriptor_limit, take_turns};
use crate::lab::catalog::{self, RunSpec};
use crate::lab::launcher::{LaunchError, Launcher};
use crate::snapshot::ProcKey;
use crate::ui;
use crate::ui::frame::Frame;
use crate::ui::keymap::Clicks;
use crate::ui::terminal::{TerminalGuard, TerminalOptions, can_be_drawn};
use crate::ui::theme::{THEMES, Theme};

use comparing::Comparing;
use family::FamilyTraces;
pub use feed::Feed;
use feed::Samples;
use inspector::Inspector;
use known::{all_processes, known_of};
use options::options;
use past::Past;
use profiles::Profiles;
use pythons::{News, Pythons};
use sampler::{NewestFacts, Wants};
use signals::Signals;
use survey::Surveys;
use targets::Targets;

/// How often the screen is checked for what depends on the time: a notice that expires, figures that are too old.
const CLOCK: Duration = Duration::from_secs(1);
/// Without a first sample, an empty table is drawn after this long, so that the eye has something.
const FIRST_FRAME: Duration = Duration::from_millis(60);
/// Enough for the descriptors of the event loop, the terminal and the threads.
const LEAST_DESCRIPTORS: u64 = 32;
/// How often a continued concmon looks whether the terminal is its own again.
const AWAY: Duration = Duration::from_millis(100);

/// Opens the monitor and stays until the user leaves.
///
/// # Errors
/// If there is no terminal, `/proc` cannot be read at all, or the terminal goes away.
pub fn run(config: &Config, feed: Feed) -> anyhow::Result<()> {
    let theme = Theme::named(&config.theme, config.depth())
        .with_context(|| format!("there is no theme {:?}; the themes are {}", config.theme, THEMES.join(", ")))?;
    let mut options = options(config)?;
    if matches!(feed, Feed::Machine(_)) {
        options.pid_space = PidSpace::mounted().context("the process table cannot be read")?;
    }
    let descriptors = raise_descriptor_limit();
    if descriptors < LEAST_DESCRIPTORS {
        anyhow::bail!(
            "the limit of open files is {descriptors}, the monitor needs {LEAST_DESCRIPTORS}: raise it with `ulimit -n`"
        );
    }
    let mut app = App::new(options);
    feed.prepare(&mut app);
    let wants = Wants { all: app.needs_of_all(), visible_needs: app.needs_of_visible(), ..Wants::default() };
    let (stopped, recording_news) = unbounded_channel();
    let samples = Samples::start(config, feed, wants, stopped).context("cannot start the sampling thread")?;
    // The sampler alone has use for what loading needs; this thread, and all that it starts, has not.
    let_go_of_loading(|| true);
    // Nothing of this machine is read while a recording or another machine is shown.
    let inspector = app.is_of_this_machine().then(|| Inspector::start(config.delay)).transpose();
    let inspector = inspector.context("cannot start the detail thread")?;
    let surveys = app
        .is_of_this_machine()
        .then(|| Surveys::start(samples.models()))
        .transpose()
        .context("cannot start the survey thread")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    last_resort::start().context("cannot install signal handlers")?;
    let guard = TerminalGuard::enter(TerminalOptions { mouse: config.mouse })?;
    let frame = Frame::default();
    let terminal = Terminal::new(CrosstermBackend::new(frame.clone())).context("cannot draw on the terminal")?;
    let size = terminal.size().context("cannot read the size of the terminal")?;
    app.update(Msg::Resized { width: size.width, height: size.height });
    if let Some(first) = config.warnings.first() {
        let more = if config.warnings.len() > 1 { format!(" (and {} more)", config.warnings.len() - 1) } else { String::new() };
        app.update(Msg::Tell(Notice::bad(format!("{first}{more}"))));
    }
    let launcher =
        Arc::new(Launcher::start(config.lab.to_launcher_limits())?.with_pythons(config.lab.pythons.clone()).with_traces());
    let (comparing, compared) = Comparing::new(Arc::clone(&launcher));
    let (answers, answered) = unbounded_channel();
    let (pythons, news) = Pythons::new(config.lab.pythons.clone(), config.readonly);
    let engine = Engine {
        app,
        theme,
        depth: config.depth(),
        save_path: config.save_path.clone(),
        samples,
        past: Past::default(),
        ghost_ns: u64::try_from(config.ghost.as_nanos()).unwrap_or(u64::MAX),
        recording_news,
        inspector,
        surveys,
        traces: FamilyTraces::new(),
        profiles: Profiles::new(answers.clone()),
        comparing,
        compared,
        launcher,
        targets: Targets::default(),
        guard,
        away: false,
        frame,
        terminal,
        wanted: None,
        pythons,
        news,
        answers,
        answered,
        go_first: config.go_first,
        leaving: false,
        clicks: Clicks::default(),
    };
    runtime.block_on(engine.run())
}

struct Engine {
    app: App,
    theme: Theme,
    depth: ColorDepth,
    /// Where settings are saved.
    save_path: Option<PathBuf>,
    samples: Samples,
    /// The last minutes, while the user looks back.
    past: Past,
    /// How long ended processes stay, nanoseconds.
    ghost_ns: u64,
    /// Why nothing is recorded any more.
    recording_news: UnboundedReceiver<String>,
    /// Reads details of this machine's processes.
    inspector: Option<Inspector>,
    /// Looks for problems of this machine.
    surveys: Option<Surveys>,
    /// Reads the lanes of a family.
    traces: FamilyTraces,
    /// Profiles a family.
    profiles: Profiles,
    /// Runs batches; `compared` gets the results.
    comparing: Comparing,
    compared: watch::Receiver<Option<Progressed>>,
    launcher: Arc<Launcher>,
    targets: Targets,
    guard: TerminalGuard,
    /// concmon was stopped, and the terminal does not belong to it again yet.
    away: bool,
    /// What `terminal` draws into.
    frame: Frame,
    terminal: Terminal<CrosstermBackend<Frame>>,
    wanted: Option<Wants>,
    /// Looks for interpreters and makes environments; `news` gets the results.
    pythons: Pythons,
    news: UnboundedReceiver<News>,
    /// Explanations of waits: title and lines.
    answers: UnboundedSender<Msg>,
    answered: UnboundedReceiver<Msg>,
    /// Whether keys are to be answered before others have the CPUs.
    go_first: bool,
    leaving: bool,
    /// The last click, to detect a double click.
    clicks: Clicks,
}

impl Engine {
    /// The terminal is given back before anything else ends: a thread that is stuck, a run that has to be killed.
    async fn run(mut self) -> anyhow::Result<()> {
        let attended = self.attend().await;
        let _done = last_resort::leaving();
        self.guard.leave();
        drop(self);
        attended
    }

    async fn attend(&mut self) -> anyhow::Result<()> {
        let live = self.app.replay.is_none();
        let mut models = self.samples.models();
        let mut details = self.inspector.as_ref().map_or_else(|| watch::channel(None).1, Inspector::details);
        let mut surveyed = self.surveys.as_ref().map_or_else(|| watch::channel(None).1, Surveys::found);
        let mut traced = self.traces.found();
        let mut runs = self.launcher.watch();
        let mut input = self.hear();
        let mut signals = Signals::new().context("cannot install signal handlers")?;
        let mut clock = tokio::time::interval(CLOCK);
        if live {
            let _ = tokio::time::timeout(FIRST_FRAME, models.changed()).await;
            models.mark_changed();
        }
        while !self.leaving {
            tokio::select! {
                biased;
                _ = signals.end.one() => break,
                () = tokio::time::sleep(AWAY), if self.away => self.come_back()?,
                _ = signals.stop.recv() => self.suspend()?,
                event = input.next() => match event {
                    Some(Ok(event)) => self.input(event, &mut input).await?,
                    // The terminal is gone: no screen and no keys.
                    Some(Err(_)) | None => break,
                },
                shown = self.samples.shown() => match shown {
                    Some(shown) => self.message(Msg::Replayed(shown))?,
                    None => anyhow::bail!("the thread that reads the recording has ended"),
                },
                Some(shown) = self.past.shown() => self.message(Msg::Replayed(shown))?,
                Some(why) = self.recording_news.recv() => self.message(Msg::RecordingStopped(why))?,
                changed = models.changed(), if live => {
                    if changed.is_err() {
                        break;
                    }
                    let sampled = models.borrow_and_update().clone();
                    if self.app.notice.is_none() {
                        // Samples that come in time leave nothing for the clock to do.
                        clock.reset_after(CLOCK + CLOCK / 4);
                    }
                    match sampled {
                        Some(Ok(model)) => self.message(Msg::Sample(model))?,
                        Some(Err(why)) if self.app.model.is_none() => anyhow::bail!(why),
                        Some(Err(why)) => self.message(Msg::SampleFailed(why))?,
                        None => {}
                    }
                }
                Ok(()) = details.changed() => {
                    let detail = details.borrow_and_update().clone();
                    if let Some(detail) = detail {
                        self.message(Msg::Detail(detail))?;
                    }
                }
                Ok(()) = surveyed.changed() => {
                    let found = surveyed.borrow_and_update().clone();
                    if let Some(found) = found {
                        self.message(Msg::Surveyed(found))?;
                    }
                }
                Ok(()) = traced.changed() => {
                    let found = traced.borrow_and_update().clone();
                    if let Some((key, lanes, offset_ns)) = found {
                        self.message(Msg::Traced { key, lanes, offset_ns })?;
                    }
                }
                changed = runs.changed() => {
                    if changed.is_ok() {
                        let state = runs.borrow_and_update().clone();
                        self.message(Msg::Lab(state))?;
                        if !matches!(self.app.screen, Screen::Lab | Screen::Timeline) {
                            // Nothing of it is on screen before the next sample.
                            continue;
                        }
                    }
                }
                Ok(()) = self.compared.changed() => {
                    let news = self.compared.borrow_and_update().clone();
                    if let Some(news) = news {
                        self.message(Msg::Compared(news))?;
                    }
                }
                Some(news) = self.news.recv() => self.python_news(news)?,
                Some(answer) = self.answered.recv() => self.message(answer)?,
                _ = clock.tick() => {
                    let now_ns = SystemClock.boot_ns();
                    if self.app.notice.is_none() && !self.app.is_stale(now_ns) {
                        // Nothing on screen goes by the clock.
                        continue;
                    }
                    self.message(Msg::Clock(now_ns))?;
                }
            }
            if !self.leaving {
                self.draw()?;
            }
        }
        Ok(())
    }

    /// Begins to read keys. The stream has a thread of its own that reads them first: it and this one, which answers, are scheduled before
    /// others; threads that this one starts later, the lab's runs above all, are not. Where the kernel refuses that, keys are read anyway.
    fn hear(&self) -> EventStream {
        if !self.go_first {
            return EventStream::new();
        }
        let _ = take_turns(Heirs::All);
        let input = EventStream::new();
        let _ = take_turns(Heirs::Nobody);
        input
    }

    fn area(&self) -> Rect {
        self.terminal.size().map(|s| Rect::new(0, 0, s.width, s.height)).unwrap_or_default()
    }

    /// One event and all that wait behind it: a wheel's storm is one frame.
    async fn input(&mut self, event: Event, input: &mut EventStream) -> anyhow::Result<()> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            if matches!(event, Event::Resize(..)) {
                // A terminal that shrank and grew back before we looked has lost what the last frame drew.
                self.forget_screen()?;
            }
            let area = self.area();
            ui::fit(&mut self.app, area);
            if let Some(msg) = ui::keymap::message(&event, &self.app, area) {
                let twice = self.clicks.key(&event, &msg, &self.app, std::time::Instant::now());
                self.message(msg)?;
                if let Some(key) = twice {
                    self.message(Msg::Key(key))?;
                }
            }
            if self.leaving {
                return Ok(());
            }
            next = waiting(input).await;
        }
        Ok(())
    }

    fn message(&mut self, msg: Msg) -> anyhow::Result<()> {
        let mut queue: std::collections::VecDeque<Effect> = self.app.update(msg).into();
        while let Some(effect) = queue.pop_front() {
            if let Some(answer) = self.effect(effect)? {
                queue.extend(self.app.update(answer));
            }
        }
        Ok(())
    }

    fn effect(&mut self, effect: Effect) -> anyhow::Result<Option<Msg>> {
        if let Some(why) = self.app.refusal(&effect) {
            return Ok(Some(Msg::Tell(Notice::bad(why))));
        }
        let mut answer = None;
        match effect {
            Effect::Freeze { token, keys } => {
                let app = &self.app;
                let targets = self.targets.freeze(token, &keys, |key| known_of(app, key), all_processes(app));
                answer = Some(Msg::Frozen { token, targets });
            }
            Effect::Thaw { token } => self.targets.thaw(token),
            Effect::Signal { token, signal, name } => answer = Some(Msg::Tell(self.targets.signal(token, signal, &name))),
            Effect::Renice { keys, delta } => {
                let model = self.app.model.clone();
                let nice = |key: &ProcKey| model.as_ref().and_then(|m| m.process(key.pid)).map(|p| (*key, p.leader.nice));
                let known: Vec<_> = keys.iter().filter_map(nice).collect();
                answer = Some(Msg::Tell(targets::renice(&known, delta)));
                self.resample();
            }
            Effect::Allot { keys, what } => {
                answer = Some(Msg::Tell(targets::allot(&keys, &what)));
                self.resample();
            }
            Effect::ReadAllotment { pid } => {
                let cpus = allot::cpus_of(pid).map(|cpus| cpus.to_string());
                let io = allot::io_priority_of(pid).map(|priority| priority.to_string());
                answer = Some(Msg::Allotted { pid, cpus, io });
            }
            // The result is shown in the cards; a machine that cannot run it has no figures for them.
            Effect::Baseline(spec) => drop(self.launcher.launch_compared(spec)),
            Effect::Keep(id) => self.launcher.keep(id),
            Effect::Launch(spec) if self.must_look_first(&spec) => {
                self.pythons.wait(spec);
                answer = Some(Msg::Tell(Notice::info("looking for Python interpreters: the run starts when they are found")));
            }
            Effect::Launch(spec) => answer = self.launch(&spec),
            Effect::Compare(plan) => {
                if let Err(error) = self.comparing.start(plan) {
                    answer = Some(Msg::NotCompared(format!("cannot start the comparison thread: {error}")));
                }
            }
            Effect::Discover => self.pythons.look(),
            Effect::Stop(id) => self.launcher.stop(id),
            Effect::StopAll => {
                self.pythons.stop();
                self.comparing.stop();
                self.launcher.stop_all();
            }
            Effect::Copy { text, said } => answer = Some(Msg::Tell(copy(&text, said))),
            Effect::Resample => self.resample(),
            Effect::Replay(key) => {
                let live = self.past.player();
                if let Some(player) = live.or(self.samples.player().map(|player| &*player)) {
                    player.key(key);
                }
            }
            Effect::LookBack(key) => {
                let interval = Duration::from_secs_f64(self.app.options.delay_s);
                answer = self.past.begin(self.samples.flight(), key, interval, self.ghost_ns);
            }
            Effect::Now => self.past.end(),
            Effect::SaveLast(path) => answer = Some(Msg::Tell(past::save(self.samples.flight(), &path))),
            Effect::Quit => self.leaving = true,
            Effect::Suspend => self.suspend()?,
            Effect::Redraw => self.forget_screen()?,
            Effect::Why { number, title } => questions::why(&self.answers, number, title),
            Effect::ReadStacks { problem, keys } => questions::stacks(&self.answers, problem, keys),
            Effect::Look => {
                if let Some(theme) = Theme::named(&self.app.options.theme, self.depth) {
                    self.theme = theme;
                }
                self.samples.set_interval(Duration::from_secs_f64(self.app.options.delay_s));
            }
            Effect::Save(settings) => {
                answer = Some(Msg::Tell(match crate::config::save(self.save_path.as_deref(), &settings) {
                    Ok(path) => Notice::good(format!("saved to {}", path.display())),
                    Err(error) => Notice::bad(error.to_string()),
                }));
            }
        }
        Ok(answer)
    }

    fn launch(&mut self, spec: &RunSpec) -> Option<Msg> {
        match self.launcher.launch(spec.clone()) {
            Ok(_) => {
                self.resample();
                None
            }
            Err(LaunchError::Unavailable(_)) if self.set_up_for(spec) => None,
            Err(error) => Some(Msg::NotLaunched { spec: spec.clone(), why: error.to_string() }),
        }
    }

    /// Whether an environment is being made that will let the run be launched.
    fn set_up_for(&mut self, spec: &RunSpec) -> bool {
        self.app.lab.interpreters.as_ref().is_some_and(|found| self.pythons.set_up_for(spec, found))
    }

    /// Whether it is not yet known which interpreters there are to run it.
    fn must_look_first(&self, spec: &RunSpec) -> bool {
        self.app.lab.interpreters.is_none() && catalog::find(&spec.system).is_some_and(|s| s.on_python())
    }

    /// Takes in news of interpreters and environments.
    fn python_news(&mut self, news: News) -> anyhow::Result<()> {
        match news {
            News::Found(found) => {
                self.message(Msg::Interpreters(found))?;
                for spec in self.pythons.waited() {
                    if let Some(answer) = self.launch(&spec) {
                        self.message(answer)?;
                    }
                }
                Ok(())
            }
            News::Step(words) => self.message(Msg::Tell(Notice::lasting(words))),
            News::Ended(ended) => {
                self.pythons.set_up_ended(ended.is_ok());
                match ended {
                    Ok(()) => self.message(Msg::Tell(Notice::good("the packages are installed"))),
                    Err(error) => self.message(Msg::Tell(Notice::bad(error.to_string()))),
                }
            }
        }
    }

    fn resample(&mut self) {
        if self.app.looks_back() {
            return;
        }
        let wants = self.wants();
        self.wanted = Some(wants.clone());
        self.samples.want(wants, true);
    }

    fn wants(&self) -> Wants {
        Wants {
            all: self.app.needs_of_all(),
            visible_needs: self.app.needs_of_visible(),
            visible: self.app.visible_keys(),
            family: self.app.family_keys(),
            facts: NewestFacts(self.app.problems.facts.clone()),
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        if self.away {
            return Ok(());
        }
        if !self.guard.is_taken() {
            anyhow::bail!("the terminal is restored");
        }
        can_be_drawn()?;
        self.app.update(Msg::RunClock(crate::clock::monotonic_ns()));
        let (app, theme) = (&mut self.app, &self.theme);
        crossterm::queue!(self.frame, crossterm::terminal::BeginSynchronizedUpdate)?;
        let view = |frame: &mut ratatui::Frame<'_>| {
            ui::fit(app, frame.area());
            ui::view(app, theme, frame);
        };
        let drawn = self.terminal.draw(view).map(|_| ());
        crossterm::queue!(self.frame, crossterm::terminal::EndSynchronizedUpdate)?;
        drawn.and_then(|()| self.frame.send()).context("cannot draw on the terminal")?;
        // Nothing of the machine is read for a picture of the past.
        let back = self.app.looks_back();
        if let Some(inspector) = &mut self.inspector {
            inspector.want(match &self.app.layer {
                _ if back => None,
                Some(Layer::Ledger(pane)) => pane.wanted(),
                _ => self.app.shown_detail().and_then(DetailPane::wanted),
            });
        }
        if let Some(surveys) = &mut self.surveys {
            surveys.want(self.app.wants_survey());
        }
        self.traces.want(self.app.traced_family());
        self.profiles.want(self.app.profiled().cloned());
        let wants = self.wants();
        if !back && self.wanted.as_ref() != Some(&wants) {
            self.samples.want(wants.clone(), false);
            self.wanted = Some(wants);
        }
        Ok(())
    }
}

/// Puts a text into the terminal's clipboard. Terminals do not report whether they took it.
fn copy(text: &str, said: String) -> Notice {
    let in_tmux = std::env::var_os("TMUX").is_some();
    let sequence = ui::clipboard::sequence(text, in_tmux);
    let mut out = stdout();
    match out.write_all(sequence.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) if in_tmux => Notice::good(format!("{said} (in tmux: with set-clipboard on)")),
        Ok(()) => Notice::good(said),
        Err(error) => Notice::bad(format!("nothing was copied: writing to the terminal failed: {error}")),
    }
}

/// The next event if it is there already. Polled with this task's own waker: the stream keeps the first waker that it is given until an
/// event comes, and one that wakes no task would leave that event lying until the next tick.
async fn waiting(input: &mut EventStream) -> Option<Event> {
    std::future::poll_fn(|context| match input.poll_next_unpin(context) {
        Poll::Ready(event) => Poll::Ready(event.and_then(Result::ok)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
