"""The dashboards' server: standalone Voila behind identity, with kernels that are ready before anybody asks."""
