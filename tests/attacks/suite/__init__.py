"""The suite of the attacked assignment; copied by ``tests.attacks.course`` to where a judge loads it."""
