//! How far a tool is: a bar that moves on a terminal, a line for each step elsewhere.

use std::io::{self, IsTerminal, Write};

/// Cells of the bar.
const WIDTH: usize = 30;

/// Steps of a tool, shown on standard error.
#[derive(Debug)]
pub struct Progress<W = io::Stderr> {
    out: W,
    moving: bool,
    what: &'static str,
    total: usize,
    done: usize,
}

impl Progress {
    /// Begins `total` steps of `what`, e.g. `verifying`.
    pub fn new(what: &'static str, total: usize) -> Self {
        let out = io::stderr();
        let moving = out.is_terminal();
        Self::on(out, moving, what, total)
    }
}

impl<W: Write> Progress<W> {
    fn on(out: W, moving: bool, what: &'static str, total: usize) -> Self {
        Self {
            out,
            moving,
            what,
            total,
            done: 0,
        }
    }

    /// Ends a step, which was about `name`.
    pub fn step(&mut self, name: &str) {
        self.done += 1;
        let (what, done, total) = (self.what, self.done, self.total);
        // Whoever has closed standard error wants no progress.
        let _ = if self.moving {
            let filled = (done * WIDTH)
                .checked_div(total)
                .unwrap_or(WIDTH)
                .min(WIDTH);
            let bar = format!("{}{}", "#".repeat(filled), " ".repeat(WIDTH - filled));
            let end = if done >= total { "\n" } else { "" };
            write!(
                self.out,
                "\r\x1b[K{what} [{bar}] {done}/{total} {name}{end}"
            )
        } else {
            writeln!(self.out, "{what} {done}/{total} {name}")
        };
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(moving: bool) -> String {
        let mut progress = Progress::on(Vec::new(), moving, "copying", 2);
        progress.step("a");
        progress.step("b");
        String::from_utf8(progress.out).expect("text")
    }

    #[test]
    fn terminals_get_a_bar_and_files_get_lines() {
        assert_eq!(shown(false), "copying 1/2 a\ncopying 2/2 b\n");
        let bar = shown(true);
        assert!(
            bar.contains("\r\x1b[Kcopying [###############               ] 1/2 a\r"),
            "{bar:?}"
        );
        assert!(bar.ends_with("2/2 b\n"), "{bar:?}");
    }
}
