"""Renderers: from blocks to markup, no more."""
