"""The embedded tiny CLIP: config, weights, vocabulary and card, all package data."""
