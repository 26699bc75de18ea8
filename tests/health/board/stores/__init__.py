"""Tests of health.board.stores."""
