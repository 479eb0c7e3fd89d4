//! Mail that programs send while the server is down: it is left in a folder, and taken when the server is there again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use crate::harness::{Output, Setup, python, run_with_input, wait_until};

/// `waxwing sendmail` with the setup's configuration and this on standard input.
fn sendmail(setup: &Setup, arguments: &[&str], input: &str) -> Output {
    let mut command = setup.binary();
    command.arg("sendmail").arg("-C").arg(setup.config_file()).args(arguments);
    run_with_input(&mut command, input.as_bytes())
}

/// It has to succeed, and without a word: what cron hears it mails.
#[track_caller]
fn sends(setup: &Setup, arguments: &[&str], input: &str) {
    let sent = sendmail(setup, arguments, input);
    assert_eq!((sent.code, sent.out.as_str(), sent.err.as_str()), (0, "", ""), "{arguments:?}");
}

/// A place with its folder, as a server that has run once leaves it.
fn after_a_first_run(setup: Setup) -> Setup {
    setup.start().stops();
    setup
}

fn folder(setup: &Setup) -> PathBuf {
    setup.path("data/drop")
}

fn names(setup: &Setup) -> Vec<String> {
    let entries = fs::read_dir(folder(setup)).expect("the folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// Left although a server runs: somebody else's configuration names a socket that is not there.
fn leaves_beside(setup: &Setup, arguments: &[&str], input: &str) {
    let other = setup.path("other.toml");
    let text = fs::read_to_string(setup.config_file()).expect("the configuration");
    let places = format!("[sendmail]\nsocket = \"gone.sock\"\ndrop-dir = \"{}\"\n", folder(setup).display());
    fs::write(&other, text + &places).expect("a configuration");
    let mut command = setup.binary();
    command.arg("sendmail").arg("-C").arg(&other).args(arguments);
    assert_eq!(run_with_input(&mut command, input.as_bytes()).code, 0);
}

#[test]
fn what_was_sent_while_the_server_was_down_arrives_through_the_same_plugins_when_it_is_there() {
    let rule = r#"settings = { rules = [{ add = { X-Waxwing = "by {listener}" } }] }"#;
    let setup = after_a_first_run(Setup::new().plugin("tag-headers", &[rule]));
    let text = "To: alice@example.org\nBcc: bob@example.org\nSubject: nightly\n\nfirst\n.\nlast\n";
    sends(&setup, &["-t", "-oi", "-FCronDaemon", "carol"], text);
    assert!(names(&setup).iter().all(|name| name.starts_with("m-")) && names(&setup).len() == 1);

    let server = setup.start();
    for local in ["alice", "bob", "carol"] {
        let message = setup.mailbox(local).one().replace("\r\n", "\n");
        for line in ["Subject: nightly", "X-Waxwing: by sendmail", "first", ".", "last"] {
            assert!(message.lines().any(|other| other == line), "{line}: {message}");
        }
        assert!(message.contains("\nFrom: \"CronDaemon\" <") && !message.contains("Bcc"), "{message}");
    }
    wait_until("the file to go", || names(&setup).is_empty());

    leaves_beside(&setup, &["dave"], "Subject: beside\n\nx\n");
    setup.mailbox("dave").with("Subject: beside");
    drop(server);
}

#[test]
fn the_folder_is_everybodys_to_write_into_and_nobodys_to_list() {
    let setup = after_a_first_run(Setup::new());
    let mode = fs::metadata(folder(&setup)).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o7777, 0o3733, "{mode:o}");
    let setup = after_a_first_run(Setup::new().set("sendmail", "mode = \"0600\""));
    let mode = fs::metadata(folder(&setup)).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700, "{mode:o}");
}

#[test]
fn what_is_refused_goes_back_to_its_sender_once_and_the_others_have_their_copy() {
    let setup = after_a_first_run(Setup::new().set("limits", "message-size = \"20KB\""));
    sends(
        &setup,
        &["-f", "alice@example.org", "nobody@example.org", "bob@example.org"],
        "Subject: two\n\nx\n",
    );
    let large = format!("Subject: large\n\n{}", "a line of text\n".repeat(2000));
    sends(&setup, &["-f", "carol@example.org", "bob@example.org"], &large);

    let server = setup.start();
    let report = setup.mailbox("alice").with("multipart/report");
    for word in ["nobody@example.org", "550 5.1.1", "Subject: two"] {
        assert!(report.contains(word), "{word}: {report}");
    }
    assert!(!report.contains("bob@example.org"), "{report}");
    let report = setup.mailbox("carol").with("multipart/report");
    assert!(report.contains("552 5.3.4") && report.contains("Subject: large"), "{report}");
    assert!(!report.contains("a line of text"), "{report}");
    setup.mailbox("bob").with("Subject: two");
    wait_until("the files to go", || names(&setup).is_empty());
    server.stops();
    let again = setup.start();
    again.stops();
    assert_eq!(setup.mailbox("alice").messages().len(), 1);
    assert_eq!(setup.mailbox("bob").messages().len(), 1);
}

#[test]
fn wrong_usage_is_said_at_once_and_nothing_is_left() {
    let setup = after_a_first_run(Setup::new());
    for (arguments, code) in [(&["-t"][..], 64), (&["not an address@"], 64), (&["-bs"], 75)] {
        assert_eq!(sendmail(&setup, arguments, "Subject: x\n\nx\n").code, code, "{arguments:?}");
    }
    assert!(names(&setup).is_empty());
    fs::remove_dir(folder(&setup)).expect("the folder");
    let sent = sendmail(&setup, &["alice"], "Subject: x\n\nx\n");
    assert_eq!((sent.code, sent.err.lines().count()), (75, 1), "{}", sent.err);
    assert!(sent.err.contains("nor can it be left"), "{}", sent.err);
}

#[test]
fn what_is_put_off_waits_in_the_folder_and_is_sent_by_the_next_server() {
    let setup = after_a_first_run(Setup::new());
    sends(&setup, &["alice"], "Subject: patient\n\nx\n");
    let mut full = setup;
    full.change("queue", "min-free = \"1 TiB\"");
    full.write();
    let server = full.start();
    let said = server.logs(&["is not taken yet"]);
    assert!(said.contains("put off"), "{said}");
    assert!(names(&full).iter().all(|name| name.starts_with("c-")) && names(&full).len() == 1);
    server.stops();
    full.change("queue", "min-free = \"1MB\"");
    full.write();
    let _server = full.start();
    full.mailbox("alice").with("Subject: patient");
    wait_until("the file to go", || names(&full).is_empty());
}

#[test]
fn a_server_with_no_session_to_give_takes_it_when_it_has_one() {
    let setup = Setup::new().set("limits", "sessions = 1");
    let server = setup.start();
    let mut only = server.client();
    leaves_beside(&setup, &["alice"], "Subject: when there is room\n\nx\n");
    server.logs(&["nothing is taken from the folder for the moment"]);
    only.asks("QUIT", "221");
    setup.mailbox("alice").with("Subject: when there is room");
}

#[test]
fn a_kill_while_files_are_taken_loses_none() {
    const COUNT: usize = 40;
    let setup = after_a_first_run(Setup::new());
    for nth in 0..COUNT {
        sends(&setup, &["alice"], &format!("Subject: number {nth}.\n\nx\n"));
    }
    for some in [1, COUNT / 2] {
        let server = setup.start();
        wait_until("some to be taken", || names(&setup).len() + some <= COUNT);
        server.dies();
    }
    let _server = setup.start();
    wait_until("all to be taken", || names(&setup).is_empty());
    for nth in 0..COUNT {
        setup.mailbox("alice").with(&format!("Subject: number {nth}."));
    }
}

#[test]
fn what_is_no_message_is_set_aside_and_stops_nothing() {
    let setup = after_a_first_run(Setup::new());
    let place = |name: &str| folder(&setup).join(name);
    fs::write(place("m-torn"), "waxwing-drop 1\n{\"order\":{},\"octets\":7}\nshort").expect("a file");
    fs::write(setup.path("secret"), "waxwing-drop 1\n").expect("a file");
    symlink(setup.path("secret"), place("m-link")).expect("a link");
    fs::hard_link(setup.path("secret"), place("m-hard")).expect("a link");
    fs::create_dir(place("m-folder")).expect("a folder");
    sends(&setup, &["alice"], "Subject: behind them\n\nx\n");
    let server = setup.start();
    setup.mailbox("alice").with("Subject: behind them");
    wait_until("them to be set aside", || names(&setup) == ["x-folder", "x-hard", "x-link", "x-torn"]);
    for (name, why) in
        [("x-torn", "5 octets"), ("x-link", "symbolic"), ("x-hard", "several links"), ("x-folder", "no file")]
    {
        server.logs(&[name, why]);
    }
}

/// Somebody else sends, and tries what is not theirs to do.
const OTHERS: &str = r#"
import os, pwd, subprocess, sys
program, config, folder, secret = sys.argv[1:]
def become(name):
    u = pwd.getpwnam(name)
    os.setgroups([]); os.setgid(u.pw_gid); os.setuid(u.pw_uid)
def attempt(what, *arguments):
    try:
        what(*arguments)
        return "done"
    except OSError as e:
        return os.strerror(e.errno)
if os.fork() == 0:
    become("daemon")
    os.umask(0)
    sent = subprocess.run([program, "sendmail", "-C", config, "alice"], input=b"Subject: of daemon\n\nx\n")
    os._exit(sent.returncode)
print("sent", os.wait()[1])
[name] = os.listdir(folder)
s = os.stat(os.path.join(folder, name))
print("mode %o" % (s.st_mode & 0o7777), pwd.getpwuid(s.st_uid).pw_name, pwd.getpwuid(os.stat(folder).st_uid).pw_name)
become("bin")
path = os.path.join(folder, name)
print("list:", attempt(os.listdir, folder))
print("read:", attempt(open, path))
print("remove:", attempt(os.unlink, path))
print("rename:", attempt(os.rename, path, os.path.join(folder, "m-mine")))
print("forge:", attempt(os.link, secret, os.path.join(folder, "m-forged")))
# A whole message, moved in from elsewhere: it is not of the folder's group.
mine = os.path.join(os.path.dirname(config), "public", "moved")
with open(mine, "w") as f:
    f.write('waxwing-drop 1\n{"order":{"recipients":["alice"]},"octets":14}\nSubject: bin\n\n')
os.chmod(mine, 0o644)
print("move:", attempt(os.rename, mine, os.path.join(folder, "m-moved")))
"#;

#[test]
fn another_user_sends_in_its_own_name_and_can_neither_see_nor_touch_nor_forge_what_others_left() {
    if fs::metadata("/proc/self").expect("this process").uid() != 0 {
        println!("root alone can become somebody else: not run");
        return;
    }
    let mut setup = Setup::new()
        .set("process", "user = \"nobody\"")
        .set("sendmail", "drop-dir = \"spool/drop\"")
        .set("sendmail", "socket = \"spool/submission.sock\"");
    setup.change_top("data-dir = \"data\"");
    fs::set_permissions(setup.path(""), PermissionsExt::from_mode(0o755)).expect("its mode");
    fs::create_dir(setup.path("public")).expect("a folder");
    fs::set_permissions(setup.path("public"), PermissionsExt::from_mode(0o777)).expect("its mode");
    fs::set_permissions(setup.path("mail"), PermissionsExt::from_mode(0o777)).expect("its mode");
    let setup = after_a_first_run(setup);
    let spool = setup.path("spool/drop");
    let secret = setup.config_file();
    let program = setup.binary().get_program().to_string_lossy().into_owned();
    let arguments =
        [&program, &*secret.to_string_lossy(), &*spool.to_string_lossy(), &*secret.to_string_lossy()];
    let said = python(OTHERS, &arguments);
    for line in [
        "sent 0",
        "mode 640 daemon nobody",
        "list: Permission denied",
        "read: Permission denied",
        "remove: Operation not permitted",
        "rename: Operation not permitted",
        "move: done",
    ] {
        assert!(said.lines().any(|other| other == line), "{line}: {said}");
    }
    let server = setup.start();
    let message = setup.mailbox("alice").one();
    assert!(message.contains("Subject: of daemon") && message.contains("<daemon@example.org>"), "{message}");
    server.logs(&["x-moved", "not made here"]);
    assert!(!spool.join("x-forged").exists() || !server.logs(&["x-forged"]).is_empty());
}
