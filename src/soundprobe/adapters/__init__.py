"""Backbones as other kits take a model: MTEB, HEAR 2021, X-ARES."""
