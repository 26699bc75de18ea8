"""Programs that tests of the store run: functions that are called in a `StoreProcess`."""
