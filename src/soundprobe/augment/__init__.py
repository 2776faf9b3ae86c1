"""Changes to training clips that should not change their class: batched, on the device, from an explicit generator."""
