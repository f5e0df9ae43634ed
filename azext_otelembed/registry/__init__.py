"""The OCI distribution protocol: tokens (`auth`), calls (`client`), bulk (`transfer`)."""
