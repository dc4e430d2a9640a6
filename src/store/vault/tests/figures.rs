use super::*;
#[tokio::test]
#[ignore]
async fn figures() {
    let stage = Stage::set();
    let vault = stage.create("alice").await;
    let r = |n: usize| (0..n).map(|_| rand::random::<u8>()).collect::<Vec<u8>>();
    let mut ch: Vec<_> = (0..13u8)
        .map(|n| Change::Put(Place::new(Kind(1), "", [n]), r(812 * 76 / 13 + 40)))
        .collect();
    ch.extend(
        (0..100u8)
            .map(|n| Change::Put(Place::new(Kind(2), "491555000@s.whatsapp.net", [n]), r(76))),
    );
    let t = std::time::Instant::now();
    commit(&vault, ch).await.unwrap();
    eprintln!("fill 113 values: {:?}", t.elapsed());
    let t = std::time::Instant::now();
    vault.close().await;
    eprintln!(
        "close after it: {:?}; bytes {}",
        t.elapsed(),
        fs::metadata(stage.file("alice")).unwrap().len()
    );
    let mut t0 = vec![];
    for _ in 0..30 {
        let t = std::time::Instant::now();
        let v = stage.open("alice").await.unwrap();
        v.get(&Place::new(Kind(2), "491555000@s.whatsapp.net", [5]))
            .await
            .unwrap()
            .unwrap();
        v.close().await;
        t0.push(t.elapsed());
    }
    t0.sort();
    eprintln!(
        "open(full check)+get+close min/median/max {:?} {:?} {:?}",
        t0[0], t0[15], t0[29]
    );
    let v = stage.open("alice").await.unwrap();
    let mut re = vec![];
    for _ in 0..6 {
        while !stage.work.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let t = std::time::Instant::now();
        v.get(&Place::new(Kind(2), "491555000@s.whatsapp.net", [5]))
            .await
            .unwrap();
        re.push(t.elapsed());
    }
    re.sort();
    eprintln!("reopen(known)+get {re:?}");
    for (d, n) in [
        (Durability::Synced, "synced"),
        (Durability::Eventual, "eventual"),
    ] {
        let mut ts = vec![];
        for i in 0..200u8 {
            let c = vec![
                Change::Put(
                    Place::new(Kind(2), "491555000@s.whatsapp.net", [i % 100]),
                    r(400),
                ),
                Change::Put(
                    Place::new(Kind(2), "491555000@s.whatsapp.net", [(i + 7) % 100]),
                    r(76),
                ),
            ];
            let t = std::time::Instant::now();
            v.commit(Batch {
                changes: c,
                durability: d,
            })
            .await
            .unwrap();
            ts.push(t.elapsed());
        }
        ts.sort();
        eprintln!(
            "commit of 2 puts, {n}: min/median/p95 {:?} {:?} {:?}",
            ts[0], ts[100], ts[190]
        );
    }
    v.close().await;
    eprintln!(
        "bytes after {}",
        fs::metadata(stage.file("alice")).unwrap().len()
    );
}
