//! What a name means: which content is chosen, and what is waited for while a catalogue is not complete.
//!
//! The manager here is a function of the time that has passed, which is virtual.

use brigade_core::{
    id::{Content, ContentId},
    limits,
    wire::{Reason, manager::Listing},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    AskError, CatalogueEntry, Duration, FetchRequest, LookupResult, ManagerClient, ResolveError, Resolver,
    Username, Version, WantedFile, resolve_request, split_version,
};
use crate::{
    manager_questions::{Answer, Question},
    peer::session::SessionCommand,
};

fn version(byte: u8, holders: &[&str]) -> Version {
    let holders = holders.iter().map(|holder| holder.parse().unwrap()).collect();
    Version { id: ContentId([byte; 32]), size: 5, mtime_s: 0, executable: false, holders, first_s: 0 }
}

/// What `request` takes of the versions of its name, for the peer `air_user`.
fn choose(
    request: &FetchRequest,
    versions: Vec<Version>,
    prefix: Option<&str>,
) -> Result<WantedFile, ResolveError> {
    let asking = ManagerClient(mpsc::channel(1).0);
    let me: Username = "air_user".parse().unwrap();
    let (incomplete, certain, left_out) = (None, false, 0);
    let resolving =
        Resolver { asking: &asking, me: &me, request, believes: false, incomplete, certain, left_out };
    resolving.choose(&request.name, versions, prefix)
}

fn request(name: &str, from: Option<&str>) -> FetchRequest {
    FetchRequest {
        name: name.to_owned(),
        from: from.map(|from| from.parse().unwrap()),
        ..FetchRequest::default()
    }
}

#[test]
fn a_version_is_chosen_by_id_or_by_who_shares_it() {
    let versions = || vec![version(0xab, &["fire_user", "water_user"]), version(0xcd, &["earth_user"])];
    let any = request("a", None);
    assert!(
        matches!(choose(&any, versions(), None), Err(ResolveError::Ambiguous { choices, .. }) if choices[0].versions.len() == 2)
    );
    assert_eq!(choose(&any, versions(), Some("ABAB")).unwrap().content.id, ContentId([0xab; 32]));
    let from = choose(&request("a", Some("earth_user")), versions(), None);
    assert_eq!(from.unwrap().content.id, ContentId([0xcd; 32]));
    assert!(matches!(
        choose(&request("a", Some("stranger")), versions(), None),
        Err(ResolveError::NoSuchVersion { .. })
    ));
    assert!(matches!(choose(&request("../a", None), versions(), None), Err(ResolveError::BadName { .. })));
    let mut chosen = any;
    chosen.chosen.insert("a".parse().unwrap(), Content { id: ContentId([0xcd; 32]), size: 5 });
    assert_eq!(choose(&chosen, versions(), None).unwrap().content.id, ContentId([0xcd; 32]));
}

#[test]
fn a_version_that_is_chosen_by_id_and_by_who_shares_it_fits_both() {
    let versions = || vec![version(0xab, &["fire_user"]), version(0xcd, &["earth_user"])];
    let of_fire = request("a", Some("fire_user"));
    assert_eq!(choose(&of_fire, versions(), Some("abab")).unwrap().content.id, ContentId([0xab; 32]));
    let error = choose(&of_fire, versions(), Some("cdcd")).unwrap_err();
    let expected = "no content of \"a\" is the one that begins with cdcd and is shared by \"fire_user\"";
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, ResolveError::NoSuchVersion { versions, .. } if versions.len() == 2));
}

#[test]
fn a_content_that_only_this_peer_has_is_not_a_choice() {
    let any = request("a", None);
    let versions = || vec![version(0xab, &["air_user"]), version(0xcd, &["earth_user"])];
    assert_eq!(choose(&any, versions(), None).unwrap().content.id, ContentId([0xcd; 32]));
    assert_eq!(choose(&any, versions()[..1].to_vec(), None).unwrap().content.id, ContentId([0xab; 32]));
    let own = choose(&request("a", Some("air_user")), versions(), None);
    assert_eq!(own.unwrap().content.id, ContentId([0xab; 32]), "it was asked for");
    let mut more = versions();
    more.push(version(0xef, &["air_user", "fire_user"]));
    assert!(
        matches!(choose(&any, more, None), Err(ResolveError::Ambiguous { choices, .. }) if choices[0].versions.len() == 2)
    );
}

#[test]
fn only_hex_digits_after_the_last_at_are_a_version() {
    assert_eq!(split_version("a@b@12ef"), Some(("a@b", "12ef")));
    for name in ["a", "a@12e", "a@12eg", "@12ef", "mail@example"] {
        assert_eq!(split_version(name), None, "{name}");
    }
}

/// A manager whose catalogue is complete after 12 s of virtual time; `knows` says what it has after how much of it.
fn manager(
    knows: impl Fn(Duration, &Question) -> Result<Answer, AskError> + Send + 'static,
) -> ManagerClient {
    let (commands, mut asked) = mpsc::channel(4);
    let start = Instant::now();
    tokio::spawn(async move {
        while let Some(SessionCommand::Ask { question, reply }) = asked.recv().await {
            let _ = reply.send(knows(start.elapsed(), &question));
        }
    });
    ManagerClient(commands)
}

const COMPLETE: Duration = Duration::from_secs(12);

fn incomplete_ms(passed: Duration) -> Option<u64> {
    let left = COMPLETE.saturating_sub(passed);
    (!left.is_zero()).then(|| left.as_millis().try_into().unwrap())
}

fn found(passed: Duration, versions: Vec<Version>, below: u64) -> Result<Answer, AskError> {
    let incomplete_ms = incomplete_ms(passed);
    Ok(Answer::LookupResult(LookupResult { question: 0, versions, below, closest: vec![], incomplete_ms }))
}

fn listing(passed: Duration, names: &[&str]) -> Result<Answer, AskError> {
    let entry = |name: &&str| CatalogueEntry {
        name: name.parse().unwrap(),
        id: ContentId([1; 32]),
        size: 5,
        mtime_s: 0,
        executable: false,
        holders: 1,
    };
    let entries = names.iter().map(entry).collect();
    Ok(Answer::Listing(Listing { question: 0, entries, more: false, incomplete_ms: incomplete_ms(passed) }))
}

/// What `request` comes to, after how long, and how long it was said first that it may take.
async fn resolved(
    asking: &ManagerClient,
    request: FetchRequest,
) -> (Result<usize, ResolveError>, Duration, Option<Duration>) {
    let (me, start): (Username, _) = ("air_user".parse().unwrap(), Instant::now());
    let mut first_wait = None;
    let result =
        resolve_request(asking, &|| me.clone(), &request, &mut |left| first_wait = first_wait.or(Some(left)))
            .await;
    (result.map(|resolved| resolved.files.len()), start.elapsed(), first_wait)
}

#[tokio::test(start_paused = true)]
async fn a_no_is_believed_once_the_catalogue_is_complete() {
    let asking = manager(|passed, _| found(passed, vec![], 0));
    let (result, took, first_wait) = resolved(&asking, request("a", None)).await;
    assert!(matches!(result, Err(ResolveError::NotFound { .. })));
    assert_eq!((took.as_secs(), first_wait), (12, Some(COMPLETE)));
    let (result, took, first_wait) = resolved(&asking, request("a", None)).await;
    assert!(matches!(result, Err(ResolveError::NotFound { .. })));
    assert_eq!((took, first_wait), (Duration::ZERO, None));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_comes_back_ends_the_wait_at_once() {
    // Another content first, of a peer that is not meant, and of this one alone.
    let back = |passed: Duration, question: &Question| {
        let Question::Lookup { name } = question else { panic!("{question:?}") };
        let mut versions = vec![version(0xab, &["air_user"])];
        if passed.as_secs() >= 4 {
            versions.push(version(0xcd, &["fire_user"]));
        }
        found(passed, if name == "a" { versions } else { vec![] }, 0)
    };
    for request in [request("a", None), request("a@cdcd", None), request("a", Some("fire_user"))] {
        let (result, took, first_wait) = resolved(&manager(back), request).await;
        assert_eq!((result.unwrap(), took.as_millis(), first_wait), (1, 4000, Some(COMPLETE)));
    }
    let own = |passed: Duration, _: &Question| found(passed, vec![version(0xab, &["air_user"])], 0);
    let (result, took, _) = resolved(&manager(own), request("a", None)).await;
    assert_eq!((result.unwrap(), took), (1, COMPLETE), "nobody else came back");
    let several = |passed: Duration, _: &Question| {
        found(passed, vec![version(0xab, &["fire_user"]), version(0xcd, &["water_user"])], 0)
    };
    let (result, took, _) = resolved(&manager(several), request("a", None)).await;
    assert!(matches!(result, Err(ResolveError::Ambiguous { .. })));
    assert_eq!(took, Duration::ZERO, "they do not become fewer");
}

/// A peer whose name is not bound may get another one when the manager comes back.
#[tokio::test(start_paused = true)]
async fn own_content_is_not_a_choice_after_a_new_username() {
    let asking = manager(|passed, _| {
        let mut versions = vec![];
        if passed.as_secs() >= 4 {
            versions = vec![version(0xab, &["air_user2"]), version(0xcd, &["fire_user"])];
        }
        found(passed, versions, 0)
    });
    let start = Instant::now();
    let me = || if start.elapsed().as_secs() < 2 { "air_user" } else { "air_user2" }.parse().unwrap();
    let resolved = resolve_request(&asking, &me, &request("a", None), &mut |_| {}).await.unwrap();
    assert_eq!(resolved.files[0].content.id, ContentId([0xcd; 32]));
}

#[tokio::test(start_paused = true)]
async fn a_folder_and_a_pattern_wait_until_the_catalogue_is_complete() {
    let half_back = |passed: Duration, question: &Question| match question {
        Question::Lookup { .. } => found(passed, vec![], 1),
        Question::Browse { holder: Some(_), .. } if passed < COMPLETE => {
            Err(AskError::Refused { reason: Reason::NotFound, text: "it is not here".to_owned() })
        }
        Question::Browse { .. } if passed < COMPLETE => listing(passed, &["a/1"]),
        Question::Browse { .. } => listing(passed, &["a/1", "a/2"]),
        Question::Peers { .. } => panic!("{question:?}"),
    };
    for request in
        [request("a", None), request("a/*", None), request("a", Some("b")), request("a/*", Some("b"))]
    {
        let (result, took, first_wait) = resolved(&manager(half_back), request).await;
        assert_eq!((result.unwrap(), took, first_wait), (2, COMPLETE, Some(COMPLETE)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_in_the_network_is_named() {
    let knows = |_: Duration, question: &Question| match question {
        Question::Browse { holder: Some(holder), .. } if **holder == *"nosuch" => {
            Err(AskError::Refused { reason: Reason::NotFound, text: "it is not here".to_owned() })
        }
        Question::Lookup { name } if name == "a" => found(COMPLETE, vec![version(0xab, &["fire_user"])], 0),
        Question::Lookup { .. } => found(COMPLETE, vec![], 1),
        _ => listing(COMPLETE, &[]),
    };
    for name in ["a", "d", "d/*"] {
        let error = resolved(&manager(knows), request(name, Some("nosuch"))).await.0.unwrap_err();
        assert_eq!(error.to_string(), "nobody with the username \"nosuch\" is in the network now", "{name}");
    }
    let error = resolved(&manager(knows), request("a", Some("earth_user"))).await.0.unwrap_err();
    assert_eq!(error.to_string(), "no content of \"a\" is shared by \"earth_user\"");
    let error = resolved(&manager(knows), request("d", None)).await.0.unwrap_err();
    assert_eq!(error.to_string(), "no content of \"d\" is there any more");
}

/// Each file is the only one under its name, so nothing is chosen; but a member is requested.
#[tokio::test(start_paused = true)]
async fn files_that_the_requested_member_does_not_share_are_counted() {
    let knows = |_: Duration, question: &Question| match question {
        Question::Browse { holder: Some(holder), .. } => match holder.as_str() {
            "fire_user" => listing(COMPLETE, &["d/1"]),
            "air_user" => listing(COMPLETE, &["d/4"]),
            _ => listing(COMPLETE, &[]),
        },
        Question::Browse { .. } => listing(COMPLETE, &["d/1", "d/2", "d/3", "d/4", "e"]),
        _ => found(COMPLETE, vec![], 1),
    };
    let me: Username = "air_user".parse().unwrap();
    let find = async |request: FetchRequest| {
        let asking = manager(knows);
        resolve_request(&asking, &|| me.clone(), &request, &mut |_| {}).await
    };
    for name in ["d", "d/", "d/*"] {
        let resolved = find(request(name, Some("fire_user"))).await.unwrap();
        let files: Vec<&str> = resolved.files.iter().map(|file| &*file.name).collect();
        assert_eq!((files, resolved.left_out), (vec!["d/1"], 2), "{name}: only this peer shares d/4");
        assert_eq!(find(request(name, None)).await.unwrap().left_out, 0, "{name}");
        let error = find(request(name, Some("earth_user"))).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no content of \"{name}\" is shared by \"earth_user\""));
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_name_and_no_pattern_is_reported_as_a_bad_pattern() {
    let asking = manager(|_, _| found(COMPLETE, vec![], 0));
    let error = resolved(&asking, request("[a", None)).await.0.unwrap_err();
    assert!(matches!(error, ResolveError::BadPattern { .. }), "{error}");
    let near = manager(|_, _| {
        let closest = vec!["film [1].mkv".parse().unwrap()];
        Ok(Answer::LookupResult(LookupResult {
            question: 0,
            versions: vec![],
            below: 0,
            closest,
            incomplete_ms: None,
        }))
    });
    let error = resolved(&near, request("film [1.mkv", None)).await.0.unwrap_err();
    assert!(matches!(error, ResolveError::NotFound { .. }), "{error}");
}

/// A slash at the end means only a folder.
#[tokio::test(start_paused = true)]
async fn a_file_is_not_found_with_a_slash_at_its_end_whether_or_not_an_id_follows_its_name() {
    let knows = |_: Duration, question: &Question| match question {
        Question::Lookup { name } if name == "d/film" => {
            found(COMPLETE, vec![version(0xab, &["fire_user"])], 0)
        }
        _ => found(COMPLETE, vec![], 0),
    };
    for (text, expected) in [
        ("d/film/", "d/film"),
        ("d/film@abab/", "d/film@abab"),
        ("d/film@abab//", "d/film@abab"),
        ("d/film@cdcd/", "d/film@cdcd"),
    ] {
        let error = resolved(&manager(knows), request(text, None)).await.0.unwrap_err();
        let ResolveError::NotFound { name, closest } = &error else { panic!("{text}: {error}") };
        let closest: Vec<&str> = closest.iter().map(|name| name.as_str()).collect();
        assert_eq!((name.as_str(), closest), (text, vec![expected]));
    }
    assert_eq!(resolved(&manager(knows), request("d/film@abab", None)).await.0.unwrap(), 1);
}

/// The text may be a name too, so no file has the text as its name.
#[tokio::test(start_paused = true)]
async fn several_contents_of_a_name_that_a_pattern_without_stars_fits_are_a_choice() {
    let knows = |_: Duration, question: &Question| match question {
        Question::Lookup { name } if name == "a1.txt" => {
            found(COMPLETE, vec![version(0xab, &["fire_user"]), version(0xcd, &["water_user"])], 0)
        }
        Question::Lookup { .. } => found(COMPLETE, vec![], 0),
        Question::Browse { holder: Some(_), .. } => listing(COMPLETE, &[]),
        _ => {
            let entry = |byte| CatalogueEntry {
                name: "a1.txt".parse().unwrap(),
                id: ContentId([byte; 32]),
                size: 5,
                mtime_s: 0,
                executable: false,
                holders: 1,
            };
            let entries = vec![entry(0xab), entry(0xcd)];
            Ok(Answer::Listing(Listing { question: 0, entries, more: false, incomplete_ms: None }))
        }
    };
    for text in ["a{1,2}.txt", "a[12].txt"] {
        let error = resolved(&manager(knows), request(text, None)).await.0.unwrap_err();
        let ResolveError::Ambiguous { choices, rest: 0 } = &error else { panic!("{text}: {error}") };
        let contents: Vec<_> = choices.iter().map(|choice| (&*choice.name, choice.versions.len())).collect();
        assert_eq!(contents, [("a1.txt", 2)], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_never_has_all_is_not_waited_for_longer_than_its_bound() {
    let never = |_: Duration, question: &Question| match question {
        Question::Lookup { .. } => found(Duration::ZERO, vec![], 0),
        _ => listing(Duration::ZERO, &[]),
    };
    for name in ["a", "a/*"] {
        let (result, took, _) = resolved(&manager(never), request(name, None)).await;
        assert!(matches!(result, Err(ResolveError::NotFound { .. })));
        assert_eq!(took, limits::CATALOGUE_WAIT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_is_found_by_its_id_and_saved_under_a_given_name() {
    let knows = |passed: Duration, question: &Question| match question {
        Question::Browse { prefix, .. } if prefix.is_empty() => listing(passed, &["b", "a/1", "c"]),
        _ => panic!("{question:?}"),
    };
    let me: Username = "air_user".parse().unwrap();
    let find = async |request: FetchRequest| {
        let asking = manager(knows);
        resolve_request(&asking, &|| me.clone(), &request, &mut |_| {}).await
    };
    let id = ContentId([1; 32]);
    let files = find(FetchRequest::by_id(id)).await.unwrap().files;
    assert_eq!(files.iter().map(|file| (&*file.name, file.content.id)).collect::<Vec<_>>(), [("a/1", id)]);
    let files = find(FetchRequest::by_id(id).save_as("film".parse().unwrap())).await.unwrap().files;
    let names = files.iter().map(|file| (&*file.name, &*file.catalogue_name));
    assert_eq!(names.collect::<Vec<_>>(), [("film", "a/1")]);
    let error = find(FetchRequest::by_id(ContentId([2; 32]))).await.unwrap_err();
    assert_eq!(error.to_string(), format!("nobody shares \"{}\"", "02".repeat(32)));
    let error = find(FetchRequest::new("*").save_as("film".parse().unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "\"*\" has 3 files, and only one file can be saved as \"film\"");
}

/// A member may announce an id with a wrong size, under as many names as it likes.
#[tokio::test(start_paused = true)]
async fn of_several_sizes_for_an_id_the_one_with_most_holders_is_taken() {
    type Entries = &'static [(&'static str, u64, u32)];
    let knows = |entries: Entries| {
        manager(move |_, _| {
            let entries = entries.iter().map(|(name, size, holders)| CatalogueEntry {
                name: name.parse().unwrap(),
                id: ContentId([1; 32]),
                size: *size,
                mtime_s: 0,
                executable: false,
                holders: *holders,
            });
            let entries = entries.collect();
            Ok(Answer::Listing(Listing { question: 0, entries, more: false, incomplete_ms: None }))
        })
    };
    let me: Username = "air_user".parse().unwrap();
    let cases: [(Entries, (&str, u64)); 4] = [
        (&[("a", 7, 1), ("b", 7, 1), ("c", 5, 2), ("d", 7, 1), ("e", 5, 1)], ("c", 5)),
        (&[("a", 7, 1), ("b", 5, 1), ("c", 5, 1)], ("b", 5)),
        (&[("a", 7, 1), ("a", 5, 3), ("b", 5, 1)], ("a", 5)),
        (&[("a", 5, 1), ("b", 7, 1)], ("a", 5)),
    ];
    for (entries, expected) in cases {
        let asking = knows(entries);
        let request = FetchRequest::by_id(ContentId([1; 32]));
        let files = resolve_request(&asking, &|| me.clone(), &request, &mut |_| {}).await.unwrap().files;
        let found = files.iter().map(|file| (&*file.name, file.content.size)).collect::<Vec<_>>();
        assert_eq!(found, [expected], "{entries:?}");
    }
}
