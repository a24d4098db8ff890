//! The file of launchd for a peer or a manager on macOS.
//!
//! launchd has no messages of readiness and no watchdog; it starts a service again that ended with an error.

use super::own_files::MARK;

/// The text of the file: `label` names the service, `command` is the program and its arguments.
pub(super) fn launchd_file(
    label: &str,
    command: &[String],
    environment: &[(String, String)],
    log: &str,
) -> String {
    let word = |word: &String| format!("    <string>{}</string>\n", escaped(word));
    let words: String = command.iter().map(word).collect();
    let variable = |(name, value): &(String, String)| {
        format!("    <key>{}</key><string>{}</string>\n", escaped(name), escaped(value))
    };
    let variables: String = environment.iter().map(variable).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- {MARK} -->\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key><string>{label}</string>\n  \
         <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n  \
         <key>EnvironmentVariables</key>\n  <dict>\n{variables}  </dict>\n  \
         <key>RunAtLoad</key><true/>\n  \
         <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>\n  \
         <key>ThrottleInterval</key><integer>5</integer>\n  \
         <key>StandardOutPath</key><string>{log}</string>\n  \
         <key>StandardErrorPath</key><string>{log}</string>\n</dict>\n</plist>\n",
        label = escaped(label),
        log = escaped(log),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::launchd_file;

    #[test]
    fn words_are_escaped_for_xml() {
        let command = ["/usr/local/bin/brigade", "peer", "--folder", "/a & <b>"].map(str::to_owned);
        let text = launchd_file("brigade-peer", &command, &[], "/tmp/brigade.log");
        assert!(text.contains("<string>/a &amp; &lt;b&gt;</string>"), "{text}");
        assert_eq!(text.matches("<dict>").count(), text.matches("</dict>").count());
    }
}
