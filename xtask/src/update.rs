//! Boots the updater of `firmware/` in the emulator, brings about each verdict, and cuts its power.

use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use windlass_lossy::Random;

use crate::run::Result;
use crate::scene::{Device, IMAGE, Scene, Updated, text};

/// Bytes that are erased together, and bytes that are programmed together.
const SECTOR: usize = 4096;
const PAGE: usize = 256;

/// How long an update over a line that damages bytes may take in milliseconds of the board: several times what it takes
/// with an idle host.
const BAD_MAX_MS: u32 = 200_000;

/// The arguments for an update after which the board stays on.
const STAYS: [&str; 5] = ["image", "0", "0", "-", "stays"];

/// Power failures in an update.
const CUTS: usize = 8;

/// What happens to an update.
enum Deed {
    Nothing,
    /// When this page is programmed.
    EndServer(usize),
    ChangeFlash(usize),
}

/// A case: the arguments of the image, and how it has to end.
struct Case {
    what: &'static str,
    words: &'static [&'static str],
    deed: Deed,
    verdict: &'static str,
    code: i32,
}

impl Case {
    const fn new(
        what: &'static str,
        words: &'static [&'static str],
        verdict: &'static str,
        code: i32,
    ) -> Self {
        Self { what, words, deed: Deed::Nothing, verdict, code }
    }

    const fn while_it(mut self, deed: Deed) -> Self {
        self.deed = deed;
        self
    }
}

const CLEAN: Case = Case::new("a clean line", &["image"], "Updated", 0);
const BAD: Case =
    Case::new("1 % of the bytes dropped, 1 % changed", &["image", "10", "1"], "Updated", 0);
const LARGE: Case = Case::new("an image that is too large", &["large"], "TooLarge", 13);
const MISSING: Case = Case::new("a name that is not there", &["missing"], "Refused", 14);
const WORN: Case =
    Case::new("a flash that is worn out", &["image", "0", "0", "100"], "FlashFailed", 12);
const GONE: Case = Case::new("a server that ends", &["image"], "ServerGone", 11);
const CHANGED: Case = Case::new("a flash that changes", &["image"], "WrongDigest", 10);

/// Updates, refusals and failures, which end with a verdict each. Returns the log.
pub(crate) fn verdicts(of: &Updated, image: &Path, windlass: &Path) -> Result<String> {
    let scene = Scene::new(of, image, windlass)?;
    let mut log = scene.ends(&CLEAN, 0, of.clean_max_ms)?;
    let before = scene.flash()?;
    log += &scene.refusals()?;
    if scene.flash()? != before {
        return Err("a refused image changed the flash".to_owned());
    }
    scene.new_image(3)?;
    log += &scene.ends(&WORN, 1, of.clean_max_ms)?;
    log += &scene.ends(&GONE.while_it(Deed::EndServer(80)), 1, of.clean_max_ms)?;
    let resumed = scene.ends(&CHANGED.while_it(Deed::ChangeFlash(200)), 1, of.clean_max_ms)?;
    if resumed.lines().find_map(kept_in).is_none_or(|kept| kept + SECTOR < 80 * PAGE) {
        return Err(format!("it did not keep what came before the server ended\n{resumed}"));
    }
    Ok(log + &resumed)
}

/// An update over a line that damages bytes. Returns the log.
pub(crate) fn over_a_bad_line(of: &Updated, image: &Path, windlass: &Path) -> Result<String> {
    Scene::new(of, image, windlass)?.ends(&BAD, 0, BAD_MAX_MS)
}

/// Refusals, an update, and one with power failures. Returns the log.
pub(crate) fn power_failures(of: &Updated, image: &Path, windlass: &Path) -> Result<String> {
    let scene = Scene::new(of, image, windlass)?;
    let log = scene.refusals()?;
    let begin = Instant::now();
    let mut device = Device::start(&scene, &STAYS)?;
    let line = device.board.until(" after ")?;
    scene.is_updated(&mut device, &line, 0)?;
    let boots = scene.image()?;
    // The first of the power failures, so to speak: the board starts again and requests another image.
    scene.new_image(2)?;
    device.cut()?;
    device.board.until("bytes of the next image")?;
    let mut random = Random::new(24);
    for cut in 0..CUTS {
        let page = 25 * cut + random.up_to(18);
        device.until_programmed(1, page * PAGE)?;
        device.cut()?;
        let line = device.board.until("bytes of the next image")?;
        if kept_in(&line).is_none_or(|kept| kept + SECTOR < page * PAGE) {
            return Err(device.board.fault(&format!("power failed at page {page}: {line}")));
        }
        if device.read(0, 0, IMAGE)? != boots {
            return Err(device.board.fault("the image that was booted changed"));
        }
    }
    let line = device.board.until(" after ")?;
    scene.is_updated(&mut device, &line, 1)?;
    let seconds = begin.elapsed().as_secs_f64();
    let log = log + &device.board.log;
    Ok(format!("{log}an update, and one with {CUTS} power failures: {seconds:.1} s\n"))
}

/// Whether the board printed the time of some moment in the last ten minutes.
fn has_the_time(log: &str) -> bool {
    let printed = log.lines().find_map(|line| line.split_once("the time is ")?.1.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    printed.is_some_and(|printed: u64| printed <= now && printed + 600 > now)
}

/// The bytes of the next image that the board has, in the line that tells them.
fn kept_in(line: &str) -> Option<usize> {
    line.split_once(" has ")?.1.split(' ').next()?.parse().ok()
}

/// The verdict and the milliseconds in the line that tells them.
fn verdict_in(line: &str) -> Option<(&str, u32)> {
    let (_, said) = line.trim().split_once(' ')?;
    let (verdict, ms) = said.split_once(" after ")?;
    Some((verdict, ms.strip_suffix(" ms")?.parse().ok()?))
}

impl Scene<'_> {
    /// Images that the updater does not take.
    fn refusals(&self) -> Result<String> {
        fs::write(self.root().join("large"), vec![0; IMAGE + 1]).map_err(text)?;
        let most_ms = self.of.clean_max_ms;
        Ok(self.ends(&LARGE, 0, most_ms)? + &self.ends(&MISSING, 0, most_ms)?)
    }

    /// The board, which stays on, says with this line that the image of the server is in this slot; and so it is.
    fn is_updated(&self, device: &mut Device<'_>, line: &str, slot: usize) -> Result<()> {
        match verdict_in(line) {
            Some(("Updated", ms)) if ms <= self.of.clean_max_ms => self.is_reported(0, ms)?,
            _ => return Err(device.board.fault(&format!("not as expected: {line}"))),
        }
        if device.read(slot, 0, IMAGE)? == self.image()? {
            return Ok(());
        }
        Err(device.board.fault(&format!("slot {slot} has other bytes than the image")))
    }

    /// Runs a case, in which an update goes to this slot and takes so many milliseconds of the board at most. Returns
    /// the log.
    fn ends(&self, case: &Case, slot: usize, most_ms: u32) -> Result<String> {
        let Case { what, words, verdict, code, .. } = case;
        let begin = Instant::now();
        let mut device = Device::start(self, words)?;
        match case.deed {
            Deed::Nothing => {}
            Deed::EndServer(page) => {
                device.until_programmed(slot, page * PAGE)?;
                device.server.end();
            }
            Deed::ChangeFlash(page) => {
                device.until_programmed(slot, page * PAGE)?;
                self.change_flash(slot, 10 * PAGE)?;
            }
        }
        let (log, ended) = device.finish()?;
        let (said, ms) = log.lines().last().and_then(verdict_in).unwrap_or_default();
        if said != *verdict || ended != Some(*code) || ms > most_ms {
            return Err(format!(
                "{what}: not {verdict} in {most_ms} ms, but exit code {ended:?}\n{log}"
            ));
        }
        // On a bad line all of them may be lost.
        if words.len() == 1 {
            self.is_reported(*code, ms)?;
        }
        if *code == 0 {
            self.is_in_slot(slot)?;
            if self.of.uarts == 2 && !has_the_time(&log) {
                return Err(format!("{what}: the board did not get the time\n{log}"));
            }
        }
        let seconds = begin.elapsed().as_secs_f64();
        Ok(format!("{log}{what}: {said} after {ms} ms of the board, {seconds:.1} s\n"))
    }
}
