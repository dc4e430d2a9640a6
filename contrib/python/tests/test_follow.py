"""Following sessions over restarts of the daemon."""

import threading

import wasession
from stage import PATIENCE, Case, new_phone, phone
from wasession import Lost, Since, State


class Following(Case):
    def test_a_restart_is_survived_and_is_no_logout(self):
        client = self.client()
        device = self.pair(client, "alice", new_phone())
        follow = self.follow("alice")
        before = follow.next(PATIENCE)
        self.assertEqual(before.sessions["alice"].phase, "online")

        self.stage.stop()
        lost = self.until(follow, lambda item: isinstance(item, Lost))
        self.assertIsInstance(lost.error, wasession.ConnectionClosed)
        self.stage.start()
        self.assertEqual(self.ends_until_state(follow), [])
        self.assertNotEqual(follow.position.epoch, before.epoch)
        # It may be already.
        while follow.sessions["alice"].phase != "online":
            follow.next(PATIENCE)
        phone("unlink", device=device)
        self.assertEqual(self.event(follow, "alice", "logged_out").ended.cause, "unlinked")

    def test_what_ended_behind_its_back_is_told_from_the_history_once(self):
        client = self.client()
        devices = [self.pair(client, user, new_phone()) for user in ("alice", "bob")]
        self.pair(client, "carol", new_phone())
        client.force_logout("carol")
        everyone, only_bob, nobody = self.follow(), self.follow("bob"), self.follow("x", "y")
        for follow in (everyone, only_bob, nobody):
            self.assertEqual(self.ends_until_state(follow), [])

        # Two end in a run of the daemon that no follower can be told of.
        self.stage.close_way()
        self.stage.kill()
        for device in devices:
            phone("unlink", device=device)
        self.stage.start()
        with wasession.Follow(path=self.stage.real) as inside:
            while inside.sessions:
                inside.next(PATIENCE)
        self.stage.stop()
        self.stage.open_way()
        self.stage.start()

        told = sorted(self.ends_until_state(everyone))
        self.assertEqual(told, [("alice", "Missed"), ("bob", "Missed")])
        self.assertEqual(self.ends_until_state(only_bob), [("bob", "Missed")])
        self.assertEqual(self.ends_until_state(nobody), [])
        self.assertEqual(everyone.sessions, {})

    def test_no_kill_in_the_middle_of_logouts_loses_or_doubles_one(self):
        follow, told = self.follow(), []
        for round in range(3):
            client = self.client()
            devices = [self.pair(client, f"user{round}-{n}", new_phone()) for n in range(3)]
            for device in devices:
                phone("unlink", device=device)
            self.stage.kill()
            self.stage.start()
            with wasession.Follow(path=self.stage.real) as inside:
                while inside.sessions:
                    inside.next(PATIENCE)
            last = f"done{round}"
            with wasession.Client(self.stage.real) as inside:
                inside.connect(last)
                inside.force_logout(last)
                history = inside.history(limit=1000)
            while last not in told:
                entry = wasession.ended(follow.next(PATIENCE))
                if entry is not None:
                    told.append(entry.user)
        self.assertEqual(sorted(told), sorted(entry.user for entry in history))
        self.assertEqual(len(told), 12)

    def test_in_the_same_run_it_goes_on_where_another_left_off(self):
        client = self.client()
        with self.follow("alice") as first:
            position = first.position
        device = self.pair(client, "alice", new_phone())
        phone("unlink", device=device)
        with self.follow("alice") as second:
            while second.sessions:
                second.next(PATIENCE)
        with self.follow("alice", since=position) as third:
            kinds = []
            item = third.next(PATIENCE)
            while not isinstance(item, State):
                kinds.append(item.event.kind)
                item = third.next(PATIENCE)
        self.assertFalse(item.gap)
        self.assertEqual([kinds[-1], kinds.count("qr"), kinds.count("online")], ["logged_out", 1, 1])
        # Another run's numbers mean nothing: it says that there is a gap.
        with self.follow("alice", since=Since(1, 1)) as stranger:
            self.assertTrue(stranger.next(PATIENCE).gap)

    def test_a_time_limit_loses_nothing(self):
        follow = self.follow("alice")
        follow.next(PATIENCE)
        with self.assertRaises(wasession.RequestTimeout):
            follow.next(0.05)
        self.client().connect("alice")
        self.event(follow, "alice", "qr")

    def test_closing_ends_whoever_iterates(self):
        follow, items = self.follow(), []
        begun = threading.Event()

        def read():
            for item in follow:
                items.append(item)
                begun.set()

        reader = threading.Thread(target=read)
        reader.start()
        self.assertTrue(begun.wait(PATIENCE))
        follow.close()
        reader.join(PATIENCE)
        self.assertFalse(reader.is_alive())
        self.assertEqual([type(item) for item in items], [State])
        with self.assertRaises(wasession.ConnectionClosed):
            follow.next()

    def test_it_can_be_closed_while_the_daemon_is_away_or_hangs(self):
        for how in ("away", "hangs"):
            with self.subTest(how=how):
                follow = self.follow()
                follow.next(PATIENCE)
                if how == "away":
                    self.stage.kill()
                    self.until(follow, lambda item: isinstance(item, Lost))
                else:
                    self.stage.freeze()
                follow.close()
                if how == "away":
                    self.stage.start()
        self.stage.thaw()

    def test_a_reader_that_does_not_read_grows_nothing(self):
        client = self.client()
        follow = self.follow()
        # Each makes several events; nobody reads them.
        for n in range(60):
            client.connect(f"user{n}")
            client.force_logout(f"user{n}")
        self.assertLessEqual(len(follow._items), wasession.client.QUEUE)
        told = []
        while len(told) < 60:
            entry = wasession.ended(follow.next(PATIENCE))
            if entry is not None:
                told.append(entry.user)
        self.assertEqual(told, [f"user{n}" for n in range(60)])


class Missing(Case):
    def test_a_follower_begins_only_where_there_is_a_daemon(self):
        self.stage.stop()
        with self.assertRaises(wasession.NoDaemon):
            self.follow()
        self.assertNotIn("wasession-follow", [thread.name for thread in threading.enumerate()])
