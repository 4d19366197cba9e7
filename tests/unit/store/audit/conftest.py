"""The store in which much has happened."""

from unit.store.audit.ledgers import ledger as ledger
from unit.store.audit.ledgers import lived as lived
