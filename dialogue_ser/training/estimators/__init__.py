"""Linear models of scikit-learn as dialogue systems: they are fitted, chosen on dev and saved like any model."""
